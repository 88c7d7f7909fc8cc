/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/sightings.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"

void lp_sightings_done(struct lp_sightings *sightings)
{
	free(sightings->items);
	*sightings = (struct lp_sightings){0};
}

uint64_t lp_sightings_pool(size_t netns, const struct lp_pool_key *key)
{
	return lp_hash(lp_hash_seed() ^ netns * UINT64_C(0x9e3779b97f4a7c15), key, sizeof(*key));
}

/* Cookies count up: their hash chooses, or it would be each second socket of one program. */
static bool is_chosen(uint64_t cookie, unsigned shift)
{
	uint64_t hash = lp_hash_mix(cookie ^ lp_hash_seed(), UINT64_C(0xd6e8feb86659fd93));
	return (hash & ((UINT64_C(1) << shift) - 1)) == 0;
}

static void choose_half(struct lp_sightings *sightings)
{
	size_t kept = 0;
	sightings->shift++;
	for (size_t i = 0; i < sightings->n; i++)
		if (is_chosen(sightings->items[i].cookie, sightings->shift))
			sightings->items[kept++] = sightings->items[i];
	sightings->n = kept;
}

void lp_sightings_add(struct lp_sightings *sightings, size_t netns, const struct lp_pool_key *key,
                      uint64_t cookie, uint32_t inode, enum lp_tcp_state state)
{
	enum { MOST_SHIFTS = 32 };
	if (state == LP_TIME_WAIT && !sightings->time_waits)
		return;
	while (sightings->n == LP_SIGHTINGS_MAX && sightings->shift < MOST_SHIFTS)
		choose_half(sightings);
	if (!is_chosen(cookie, sightings->shift))
		return;
	if (sightings->n == LP_SIGHTINGS_MAX ||
	    !lp_array_grow(&sightings->items, &sightings->room, sightings->n,
	                   sizeof(*sightings->items))) {
		sightings->out_of_room = true;
		return;
	}
	sightings->items[sightings->n++] = (struct lp_sighting){
	        .pool = lp_sightings_pool(netns, key),
	        .cookie = cookie,
	        .inode = inode,
	        .netns = netns & 0xfffffff,
	        .state = (unsigned)state & 0xf,
	};
}

void lp_sightings_forget(struct lp_sightings *sightings, size_t netns)
{
	size_t kept = 0;
	for (size_t i = 0; i < sightings->n; i++)
		if (sightings->items[i].netns != netns)
			sightings->items[kept++] = sightings->items[i];
	sightings->n = kept;
}
