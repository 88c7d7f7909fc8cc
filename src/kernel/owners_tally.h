/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The owners of pools while they are counted. Inner header of src/kernel. */

#include "kernel/inode_map.h"
#include "kernel/owners.h"

/* The owners of one pool. */
struct lp_tally {
	uint64_t pool; /* as sightings name it */
	struct lp_pool_owners *owners;
	size_t room;
	size_t last;      /* whose socket came before: mostly the next one's too */
	uint64_t sighted; /* live connections, as many as those stand for */
	uint64_t sighted_time_waits;
};

struct lp_tallies {
	const struct lp_kernel *kernel;
	struct lp_owner_notes *notes;
	const struct lp_snapshot *snapshot;
	struct lp_tally items[LP_OWNERS_POOLS]; /* by pool */
	size_t n;
	bool own_pids; /* pids of the ledger are those of /proc */
	/* whom the ledger names in a pool: named[] of the number */
	struct lp_inode_map names;
	struct lp_inode_map parties; /* … and the processes behind those names */
	uint32_t *named; /* index of an owner in the tally, LP_TALLY_NOBODY, LP_TALLY_NO_ROOM */
	size_t room_named;
};
enum { LP_TALLY_NOBODY = UINT32_MAX, LP_TALLY_NO_ROOM = UINT32_MAX - 1 };

void lp_tallies_done(struct lp_tallies *tallies);

struct lp_tally *lp_tally_of(const struct lp_tallies *tallies, uint64_t pool);

/* Counts one socket. 0 or -ENOMEM. */
int lp_tally_sighting(struct lp_tallies *tallies, const struct lp_sighting *sighting);

/* All were counted: the owners in order, and what is not known of the rest. */
void lp_tally_finish(const struct lp_tallies *tallies, struct lp_tally *tally);
