/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Loads the ledger's programs. Inner header of src/action. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What is to be pinned, in this order: a name and a descriptor each. The link comes last. */
struct lp_ledger_piece {
	const char *name;
	int fd;
};
enum { LP_LEDGER_PIECES = 7 };

struct lp_ledger_loaded;

/* Loads, with tables of at most so much memory; nothing runs yet. *ret is the caller's. */
int lp_ledger_load(uint32_t memory_mib, struct lp_ledger_loaded **ret, struct lp_error *err);
/* Lets it run; the link ends with its last descriptor or pin. */
int lp_ledger_attach(struct lp_ledger_loaded *loaded, struct lp_error *err);
const struct lp_ledger_piece *lp_ledger_pieces(const struct lp_ledger_loaded *loaded);
/* A new descriptor of a piece of what is loaded, for lp_ledger_open_by(). -ENOENT: of no piece. */
int lp_ledger_open_piece(void *loaded, const char *name);
void lp_ledger_unload(struct lp_ledger_loaded *loaded);
static inline void lp_ledger_unloadp(struct lp_ledger_loaded **loaded)
{
	lp_ledger_unload(*loaded);
}

/* Rows of sockets and sets of the others for so much memory: what lp_ledger_load() makes. */
struct lp_ledger_sizes {
	uint32_t sockets, owners, searches, refusals;
};
struct lp_ledger_sizes lp_ledger_sizes(uint32_t memory_mib);
