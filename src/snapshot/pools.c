/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/pools.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/hash.h"

enum {
	SLOTS = 65536, /* a power of two above LP_POOLS_MAX */
	NO_POOL = 0,
	DROP_LEVELS = 1024, /* counts above it are never dropped one by one */
	ESTIMATE_OFF = 2,   /* standard deviations, were connections strewn by chance */
};
_Static_assert(LP_POOLS_MAX < UINT16_MAX && LP_POOLS_MAX < SLOTS / 2, "index fits 16 bits");

struct lp_pools {
	uint64_t seed;
	struct lp_pool *items;
	size_t n, room;
	bool fixed;
	uint32_t round;
	uint32_t dropped_bound;
	uint64_t summed_pools, summed_sockets;
	uint16_t slots[SLOTS]; /* open addressing; index into items + 1 */
};

int lp_pools_new(struct lp_pools **ret)
{
	struct lp_pools *pools = calloc(1, sizeof(*pools));
	if (!pools)
		return -ENOMEM;
	pools->seed = lp_hash_seed();
	pools->round = 1;
	*ret = pools;
	return 0;
}

void lp_pools_free(struct lp_pools *pools)
{
	if (!pools)
		return;
	free(pools->items);
	free(pools);
}

void lp_pool_clear(struct lp_pool *pool)
{
	*pool = (struct lp_pool){.key = pool->key, .oldest_left_ms = LP_TIME_WAIT_S * 1000};
}

static void times(uint16_t *count, uint32_t share)
{
	uint32_t product = *count * share;
	*count = product < UINT16_MAX ? (uint16_t)product : UINT16_MAX;
}

void lp_pool_estimate(struct lp_pool *pool, uint32_t share)
{
	uint32_t n = lp_pool_total(pool);
	double off = ESTIMATE_OFF * share * sqrt(n);
	for (int state = 0; state < LP_STATES; state++)
		times(&pool->states[state], share);
	for (int second = 0; second < LP_TIME_WAIT_S; second++)
		times(&pool->left[second], share);
	times(&pool->aged, share);
	times(&pool->low_ports, share);
	times(&pool->late_ports, share);
	pool->about = off < UINT16_MAX ? (uint16_t)ceil(off) : UINT16_MAX;
}

void lp_pools_restart(struct lp_pools *pools)
{
	pools->summed_sockets = 0;
	pools->round++;
	if (pools->fixed) {
		for (size_t i = 0; i < pools->n; i++)
			lp_pool_clear(&pools->items[i]);
		return;
	}
	pools->n = 0;
	pools->dropped_bound = 0;
	pools->summed_pools = 0;
	memset(pools->slots, 0, sizeof(pools->slots));
}

/* The slot of a key: that of its pool, or the empty one where it would go. */
static uint16_t *find_slot(struct lp_pools *pools, const struct lp_pool_key *key)
{
	size_t slot = lp_hash(pools->seed, key, sizeof(*key)) % SLOTS;
	while (pools->slots[slot] != NO_POOL &&
	       memcmp(&pools->items[pools->slots[slot] - 1].key, key, sizeof(*key)) != 0)
		slot = (slot + 1) % SLOTS;
	return &pools->slots[slot];
}

static void index_again(struct lp_pools *pools)
{
	pools->round++;
	memset(pools->slots, 0, sizeof(pools->slots));
	for (size_t i = 0; i < pools->n; i++)
		*find_slot(pools, &pools->items[i].key) = (uint16_t)(i + 1);
}

static uint32_t weight(const struct lp_pool *pool)
{
	uint32_t sum = lp_pool_total(pool) + pool->missed;
	return sum < DROP_LEVELS ? sum : DROP_LEVELS - 1;
}

static void drop_pool(struct lp_pools *pools, const struct lp_pool *pool)
{
	uint32_t bound = lp_pool_total(pool) + pool->missed;
	pools->summed_pools++;
	pools->summed_sockets += lp_pool_total(pool);
	if (bound > pools->dropped_bound)
		pools->dropped_bound = bound;
}

/* Drops half of the pools, the smallest first. */
static void drop_smaller_half(struct lp_pools *pools)
{
	size_t at_level[DROP_LEVELS] = {0};
	for (size_t i = 0; i < pools->n; i++)
		at_level[weight(&pools->items[i])]++;
	size_t to_drop = pools->n / 2, below = 0;
	uint32_t level = 0;
	while (below + at_level[level] < to_drop)
		below += at_level[level++];
	size_t of_level = to_drop - below;

	size_t kept = 0;
	for (size_t i = 0; i < pools->n; i++) {
		const struct lp_pool *pool = &pools->items[i];
		uint32_t w = weight(pool);
		if (w < level || (w == level && of_level > 0)) {
			of_level -= w == level;
			drop_pool(pools, pool);
		} else {
			pools->items[kept++] = *pool;
		}
	}
	pools->n = kept;
	index_again(pools);
}

struct lp_pool *lp_pools_get(struct lp_pools *pools, const struct lp_pool_key *key)
{
	uint16_t *slot = find_slot(pools, key);
	if (*slot != NO_POOL)
		return &pools->items[*slot - 1];
	if (!pools->fixed && pools->n == LP_POOLS_MAX) {
		drop_smaller_half(pools);
		slot = find_slot(pools, key);
	}
	if (pools->fixed ||
	    !lp_array_grow(&pools->items, &pools->room, pools->n, sizeof(*pools->items))) {
		pools->summed_sockets++;
		return NULL;
	}
	struct lp_pool *pool = &pools->items[pools->n++];
	pool->key = *key;
	lp_pool_clear(pool);
	pool->missed =
	        (uint16_t)(pools->dropped_bound < UINT16_MAX ? pools->dropped_bound : UINT16_MAX);
	*slot = (uint16_t)pools->n;
	return pool;
}

uint32_t lp_pools_round(const struct lp_pools *pools)
{
	return pools->round;
}

size_t lp_pools_number(const struct lp_pools *pools, const struct lp_pool *pool)
{
	return (size_t)(pool - pools->items);
}

struct lp_pool *lp_pools_at(struct lp_pools *pools, size_t number)
{
	return &pools->items[number];
}

size_t lp_pools_count(const struct lp_pools *pools)
{
	return pools->n;
}

static bool any_counted_short(const struct lp_pools *pools, uint32_t floor)
{
	for (size_t i = 0; i < pools->n; i++) {
		const struct lp_pool *pool = &pools->items[i];
		if (pool->missed && lp_pool_total(pool) + pool->missed >= floor)
			return true;
	}
	return false;
}

bool lp_pools_fix(struct lp_pools *pools, uint32_t floor)
{
	if (pools->fixed || !any_counted_short(pools, floor))
		return false;
	size_t kept = 0;
	for (size_t i = 0; i < pools->n; i++) {
		const struct lp_pool *pool = &pools->items[i];
		if (lp_pool_total(pool) + pool->missed >= floor)
			pools->items[kept++] = *pool;
		else
			drop_pool(pools, pool);
	}
	pools->n = kept;
	pools->fixed = true;
	index_again(pools);
	return true;
}

uint32_t lp_pools_dropped_bound(const struct lp_pools *pools)
{
	return pools->dropped_bound;
}

size_t lp_pools_take(struct lp_pools *pools, struct lp_pool **ret, uint64_t *ret_summed_pools,
                     uint64_t *ret_summed_sockets)
{
	*ret = lp_take_ptr(pools->items);
	*ret_summed_pools = pools->summed_pools;
	*ret_summed_sockets = pools->summed_sockets;
	size_t n = pools->n;
	pools->n = pools->room = 0;
	return n;
}
