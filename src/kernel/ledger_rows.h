/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the ledger's reader share. Inner header of src/kernel. */

#include "bpf/ledger.h"
#include "snapshot/ledger.h"

struct lp_ledger_map {
	void *rows;    /* mapped, read only */
	uint32_t sets; /* of LP_LEDGER_WAYS rows; of sockets: rows */
	size_t bytes;
};

struct lp_ledger {
	struct lp_ledger_map control_map, sockets, owners, searches, refusals;
	const struct lp_ledger_control *control;
	int program;
	int link; /* held, so that it goes on counting for us when another one turns it off */
};

/* The programs go on writing while rows are read. */
#define LP_LEDGER_LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

void lp_ledger_copy_party(const struct lp_ledger_process *process, const char command[16],
                          struct lp_ledger_party *ret);
