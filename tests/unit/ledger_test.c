/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ledger's arithmetic: rows of a cookie, sizes of tables, times of searches. */

#include "unit.h"

#include "action/ledger.h"
#include "action/ledger_load.h"
#include "base/cleanup.h"
#include "bpf/ledger.h"
#include "kernel/ledger.h"
#include "kernel/ledger_rows.h"
#include "snapshot/ledger.h"

enum { MASK = 4095 };

static void test_rows_of_a_cookie(void **state)
{
	(void)state;
	for (uint64_t cookie = 1; cookie < 3 * MASK; cookie++) {
		uint32_t first = lp_ledger_row(cookie, 0, MASK);
		assert_int_equal(first, cookie & MASK); /* next to that of the cookie before */
		for (uint32_t i = 1; i < LP_LEDGER_WAYS; i++)
			assert_true(lp_ledger_row(cookie, i, MASK) <= MASK);
	}
}

/* Two cookies that have the first row in common have others elsewhere. */
static void test_other_rows_differ(void **state)
{
	(void)state;
	size_t same = 0, n = 0;
	for (uint64_t cookie = 1; cookie < 500; cookie++) {
		for (uint32_t i = 1; i < LP_LEDGER_WAYS; i++, n++)
			same += lp_ledger_row(cookie, i, MASK) ==
			        lp_ledger_row(cookie + MASK + 1, i, MASK);
	}
	assert_true(same < n / 100);
}

static bool is_power(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

static void test_tables_fit(void **state)
{
	(void)state;
	for (uint32_t mib = LP_LEDGER_MEMORY_LEAST_MIB; mib <= LP_LEDGER_MEMORY_MOST_MIB; mib++) {
		struct lp_ledger_sizes sizes = lp_ledger_sizes(mib);
		assert_true(is_power(sizes.sockets) && is_power(sizes.owners));
		assert_true(is_power(sizes.searches) && is_power(sizes.refusals));
		uint64_t bytes = (uint64_t)sizes.sockets * sizeof(struct lp_ledger_socket) +
		                 (uint64_t)sizes.owners * sizeof(struct lp_ledger_owner_set) +
		                 (uint64_t)sizes.searches * sizeof(struct lp_ledger_search_set) +
		                 (uint64_t)sizes.refusals * sizeof(struct lp_ledger_refused_set);
		assert_true(bytes <= (uint64_t)mib << 20);
		/* a name has room for each owner's row, and for none it does not mean */
		assert_true((uint64_t)sizes.owners * LP_LEDGER_WAYS <=
		            (uint64_t)LP_LEDGER_OWNER_MASK + 1);
	}
}

static void test_quantiles(void **state)
{
	(void)state;
	uint64_t times[LP_SEARCH_TIMES] = {0};
	assert_false(lp_search_quantile(times, 0.5).known);
	times[3] = 50;
	times[11] = 49;
	times[LP_SEARCH_TIMES - 1] = 1;
	assert_int_equal(lp_search_count(times), 100);
	assert_int_equal(lp_search_quantile(times, 0.5).n, 1U << 13);
	assert_int_equal(lp_search_quantile(times, 0.51).n, 1U << 21);
	assert_int_equal(lp_search_quantile(times, 0.99).n, 1U << 21);
	assert_true(lp_search_quantile(times, 1).n == UINT64_MAX); /* longer than all */
}

/* Two processors may make a row each for what is new to both: it is told once. */
static void test_rows_made_twice_are_one(void **state)
{
	(void)state;
	static const struct lp_ledger_process process = {.pid = 812, .netns = 7};
	static const struct lp_ledger_destination to = {.netns = 7, .port = 80, .family = AF_INET};
	struct lp_ledger_control control = {0};
	struct lp_ledger_refused_set refused = {0};
	struct lp_ledger_search_set searches = {0};
	const unsigned ways[] = {0, 2}; /* those between are free */
	for (unsigned i = 0; i < 2; i++) {
		refused.ways[ways[i]] = (struct lp_ledger_refused){.seen = 1000 + i,
		                                                   .to = to,
		                                                   .process = process,
		                                                   .first = 900 - i,
		                                                   .no_port = 3 + i,
		                                                   .bound_port = i,
		                                                   .total_ns = 50};
		searches.ways[ways[i]] = (struct lp_ledger_search){
		        .seen = 1000, .to = to, .total_ns = 50, .unmeasured = 2};
		searches.ways[ways[i]].times[3] = 10 + i;
	}
	const struct lp_ledger ledger = {.control = &control,
	                                 .refusals = {.rows = &refused, .sets = 1},
	                                 .searches = {.rows = &searches, .sets = 1},
	                                 .program = -1};
	const struct lp_kernel kernel = LP_KERNEL_NONE;
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = NULL;
	assert_int_equal(lp_ledger_read(&ledger, &kernel, &facts), 0);
	assert_int_equal(facts->n_refusals, 2); /* one for each reason */
	assert_int_equal(facts->refusals[0].refused, 7);
	assert_int_equal(facts->refusals[1].refused, 1);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(facts->refusals[i].all, 8);
		assert_int_equal(facts->refusals[i].all_ns, 100);
		assert_true(facts->refusals[i].first_ms <= facts->refusals[i].last_ms);
	}
	assert_int_equal(facts->n_searches, 1);
	assert_int_equal(facts->searches[0].times[3], 21);
	assert_int_equal(facts->searches[0].total_ns, 100);
	assert_int_equal(facts->searches[0].unmeasured, 4);
}

UNIT_MAIN(cmocka_unit_test(test_rows_made_twice_are_one), cmocka_unit_test(test_rows_of_a_cookie),
          cmocka_unit_test(test_other_rows_differ), cmocka_unit_test(test_tables_fit),
          cmocka_unit_test(test_quantiles))
