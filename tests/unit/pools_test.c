/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/pools.h"
#include "unit.h"

static struct lp_pool_key key_of(uint32_t n)
{
	struct lp_pool_key key = {.port = 80};
	uint8_t bytes[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	key.local = unit_address("10.0.0.1");
	key.remote = lp_address_make(AF_INET, bytes, 0);
	return key;
}

static void add(struct lp_pools *pools, uint32_t n, uint32_t times)
{
	struct lp_pool_key key = key_of(n);
	for (uint32_t i = 0; i < times; i++) {
		struct lp_pool *pool = lp_pools_get(pools, &key);
		if (pool)
			pool->states[LP_ESTABLISHED]++;
	}
}

static const struct lp_pool *find(const struct lp_pool *items, size_t n, uint32_t number)
{
	struct lp_pool_key key = key_of(number);
	for (size_t i = 0; i < n; i++)
		if (!memcmp(&items[i].key, &key, sizeof(key)))
			return &items[i];
	return NULL;
}

static void few_pools_are_all_kept_and_exact(void **state)
{
	(void)state;
	struct lp_pools *pools;
	assert_int_equal(lp_pools_new(&pools), 0);
	lp_pools_restart(pools);
	for (uint32_t i = 0; i < 1000; i++)
		add(pools, i, 1 + i % 7);
	assert_false(lp_pools_fix(pools, 1));
	assert_int_equal(lp_pools_dropped_bound(pools), 0);
	struct lp_pool *items;
	uint64_t summed, sockets;
	size_t n = lp_pools_take(pools, &items, &summed, &sockets);
	assert_int_equal(n, 1000);
	assert_int_equal(summed, 0);
	assert_int_equal(sockets, 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(find(items, n, i)->states[LP_ESTABLISHED], 1 + i % 7);
	free(items);
	lp_pools_free(pools);
}

enum { SINGLES = 300000, BIG = 5, BIG_SIZE = 500 };

/* Big pools come spread among many small ones, as in the kernel's table. */
static void walk(struct lp_pools *pools)
{
	lp_pools_restart(pools);
	for (uint32_t i = 0; i < SINGLES; i++) {
		add(pools, 1000 + i, 1);
		if (i % (SINGLES / BIG_SIZE) == 0)
			for (uint32_t big = 0; big < BIG; big++)
				add(pools, big, 1);
	}
}

static void what_matters_survives_among_many_and_is_recounted(void **state)
{
	(void)state;
	struct lp_pools *pools;
	assert_int_equal(lp_pools_new(&pools), 0);
	walk(pools);
	uint32_t bound = lp_pools_dropped_bound(pools);
	assert_in_range(bound, 1, BIG_SIZE / 2);
	/* a pool that came late may have been there before: a second walk settles it */
	add(pools, 999, BIG_SIZE);
	assert_true(lp_pools_fix(pools, BIG_SIZE / 2));
	walk(pools);
	add(pools, 999, BIG_SIZE);
	assert_false(lp_pools_fix(pools, BIG_SIZE / 2));

	struct lp_pool *items;
	uint64_t summed, sockets;
	size_t n = lp_pools_take(pools, &items, &summed, &sockets);
	assert_int_equal(n, BIG + 1);
	uint64_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		kept += items[i].states[LP_ESTABLISHED];
		assert_int_equal(items[i].missed, 0);
	}
	assert_int_equal(find(items, n, 999)->states[LP_ESTABLISHED], BIG_SIZE);
	for (uint32_t big = 0; big < BIG; big++)
		assert_int_equal(find(items, n, big)->states[LP_ESTABLISHED], BIG_SIZE);
	assert_int_equal(kept + sockets, SINGLES + (BIG + 1) * BIG_SIZE);
	assert_true(summed >= SINGLES - LP_POOLS_MAX);
	free(items);
	lp_pools_free(pools);
}

static void never_holds_more_than_its_room(void **state)
{
	(void)state;
	struct lp_pools *pools;
	assert_int_equal(lp_pools_new(&pools), 0);
	lp_pools_restart(pools);
	for (uint32_t i = 0; i < LP_POOLS_MAX * 3; i++)
		add(pools, i, 2);
	struct lp_pool *items;
	uint64_t summed, sockets;
	size_t n = lp_pools_take(pools, &items, &summed, &sockets);
	assert_in_range(n, LP_POOLS_MAX / 2, LP_POOLS_MAX);
	assert_int_equal(n * 2 + sockets, LP_POOLS_MAX * 3 * 2);
	assert_int_equal(n + summed, LP_POOLS_MAX * 3);
	free(items);
	lp_pools_free(pools);
}

static void a_late_pool_says_what_it_may_lack(void **state)
{
	(void)state;
	struct lp_pools *pools;
	assert_int_equal(lp_pools_new(&pools), 0);
	lp_pools_restart(pools);
	for (uint32_t i = 0; i < LP_POOLS_MAX; i++)
		add(pools, i, 3);
	add(pools, LP_POOLS_MAX, 1);
	struct lp_pool_key first = key_of(0), late = key_of(LP_POOLS_MAX);
	assert_int_equal(lp_pools_get(pools, &late)->missed, 3);
	assert_int_equal(lp_pools_dropped_bound(pools), 3);
	/* dropped, then seen again: 3 are missing at most, and that is so */
	struct lp_pool *again = lp_pools_get(pools, &first);
	assert_int_equal(again->states[LP_ESTABLISHED], 0);
	assert_int_equal(again->missed, 3);
	lp_pools_free(pools);
}

UNIT_MAIN(cmocka_unit_test(few_pools_are_all_kept_and_exact),
          cmocka_unit_test(what_matters_survives_among_many_and_is_recounted),
          cmocka_unit_test(never_holds_more_than_its_room),
          cmocka_unit_test(a_late_pool_says_what_it_may_lack))
