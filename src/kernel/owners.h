/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Owners of the connections of those pools that matter, which is known only after a look: what the
 * look came by goes into notes, and lp_owners_find() makes owners of them.
 */

#include "kernel/kernel.h"
#include "kernel/sockfds.h"
#include "snapshot/owners.h"
#include "snapshot/sightings.h"

/* Begins zeroed; given to one lp_look(). */
struct lp_owner_notes {
	struct lp_sightings sightings;
	struct lp_sockfds sockets;
	struct lp_ledger *ledger; /* NULL: it is off … */
	bool ledger_closed;       /* … or can't be read */
};
void lp_owner_notes_done(struct lp_owner_notes *notes);

/* Opens the ledger, if it is on. Before the look: what is closed later is not looked for. */
void lp_owner_notes_begin(struct lp_owner_notes *notes);

struct lp_owner_wish {
	size_t netns; /* index into snapshot->netns */
	const struct lp_pool *pool;
};

/*
 * Fills snapshot->owners for up to LP_OWNERS_POOLS pools out of the notes of the look that made
 * the snapshot, of the ledger, and of /proc. The notes are used up. 0 or -ENOMEM.
 */
int lp_owners_find(const struct lp_kernel *kernel, struct lp_owner_notes *notes,
                   struct lp_snapshot *snapshot, const struct lp_owner_wish *wishes, size_t n);
