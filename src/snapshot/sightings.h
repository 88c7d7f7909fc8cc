/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which sockets were seen in which pool, so that their owners can be told once it is known which
 * pools matter. All sockets up to LP_SIGHTINGS_MAX; of more, one in a power of two, the same ones
 * each time because their cookies choose.
 */

#include "snapshot/snapshot.h"

enum { LP_SIGHTINGS_MAX = 131072 };

struct lp_sighting {
	uint64_t pool; /* lp_sightings_pool() */
	uint64_t cookie;
	uint32_t inode; /* 0: no process holds it */
	uint32_t netns : 28, state : 4;
};

struct lp_sightings {
	struct lp_sighting *items;
	size_t n, room;
	unsigned shift;   /* one in 1 << shift was kept */
	bool time_waits;  /* TIME_WAITs are wanted too: there is a ledger that knows them */
	bool out_of_room; /* memory was short: nothing is told */
};

void lp_sightings_done(struct lp_sightings *sightings);

/* A pool of one namespace (index into snapshot->netns) as sightings name it. */
uint64_t lp_sightings_pool(size_t netns, const struct lp_pool_key *key);

/* A socket with its cookie, which is not 0. */
void lp_sightings_add(struct lp_sightings *sightings, size_t netns, const struct lp_pool_key *key,
                      uint64_t cookie, uint32_t inode, enum lp_tcp_state state);

/* Forgets those of a namespace, which is read once more. */
void lp_sightings_forget(struct lp_sightings *sightings, size_t netns);
