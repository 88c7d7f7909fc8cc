/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How large a sample has to be, and what becomes of its counts. */

#include "kernel/bpf_sample.h"
#include "snapshot/pools.h"
#include "unit.h"

/* Simulated: how many of `counted` in each stratum the worst pool shows. */
static void margin_holds_for_the_worst(void **state)
{
	enum { PORTS = 28232, BUCKETS = 262144, SHARE = 32, TRIES = 20000 };
	(void)state;
	uint32_t margin = lp_sample_margin(PORTS, BUCKETS, SHARE), worst = 0;
	srand(7);
	for (int try = 0; try < TRIES; try++) {
		/* every other block full: what a stratum gives is 0 or 8 by the toss of a coin */
		uint32_t strata = PORTS / (8 * SHARE), counted = 0;
		for (uint32_t i = 0; i < strata; i++)
			counted += rand() & 1 << 10 ? 8 : 0;
		uint32_t truth = strata * SHARE * 4, estimate = counted * SHARE;
		uint32_t off = truth > estimate ? truth - estimate : 0;
		worst = off > worst ? off : worst;
	}
	assert_in_range(worst, margin / 4, margin);
}

static void shares_are_safe(void **state)
{
	(void)state;
	for (uint32_t ports = 100; ports < 65536; ports += 997) {
		for (uint32_t buckets = 1024; buckets <= 524288; buckets *= 4) {
			uint32_t enough = ports / 5 * 4;
			uint32_t share = lp_sample_safe(enough, ports, buckets);
			assert_int_equal(share & (share - 1), 0);
			if (share)
				assert_true(lp_sample_margin(ports, buckets, share) <= enough / 2);
			if (share && share < LP_SAMPLE_MOST)
				assert_true(lp_sample_margin(ports, buckets, share * 2) >
				            enough / 2);
		}
	}
	/* a small range forbids it, the usual one allows what a million takes */
	assert_true(lp_sample_safe(80, 100, 262144) < LP_SAMPLE_LEAST);
	assert_true(lp_sample_safe(22585, 28232, 262144) >= 32);
}

static void a_sample_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(lp_sample_share(0, LP_SAMPLE_AIM), 1);
	assert_int_equal(lp_sample_share(LP_SAMPLE_AIM, LP_SAMPLE_AIM), 1);
	assert_int_equal(lp_sample_share(LP_SAMPLE_AIM + 1, LP_SAMPLE_AIM), 2);
	assert_int_equal(lp_sample_share(1000000, LP_SAMPLE_AIM), 64);
	assert_int_equal(lp_sample_share(UINT64_MAX / 512, LP_SAMPLE_AIM), LP_SAMPLE_MOST);
}

static void estimates_say_how_good(void **state)
{
	(void)state;
	struct lp_pool pool = {.states = {[LP_ESTABLISHED] = 9, [LP_TIME_WAIT] = 16},
	                       .left = {[59] = 16},
	                       .aged = 5};
	lp_pool_estimate(&pool, 32);
	assert_int_equal(pool.states[LP_ESTABLISHED], 9 * 32);
	assert_int_equal(pool.states[LP_TIME_WAIT], 16 * 32);
	assert_int_equal(pool.left[59], 16 * 32);
	assert_int_equal(pool.aged, 5 * 32);
	assert_int_equal(pool.about, 2 * 32 * 5);
	struct lp_pool full = {.states = {[LP_ESTABLISHED] = 60000}};
	lp_pool_estimate(&full, 32); /* does not wrap round */
	assert_int_equal(full.states[LP_ESTABLISHED], UINT16_MAX);
}

UNIT_MAIN(cmocka_unit_test(margin_holds_for_the_worst), cmocka_unit_test(shares_are_safe),
          cmocka_unit_test(a_sample_is_bounded), cmocka_unit_test(estimates_say_how_good))
