/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ledger's arithmetic: rows of a cookie, sizes of tables, times of searches. */

#include "unit.h"

#include "action/ledger.h"
#include "action/ledger_load.h"
#include "bpf/ledger.h"
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

UNIT_MAIN(cmocka_unit_test(test_rows_of_a_cookie), cmocka_unit_test(test_other_rows_differ),
          cmocka_unit_test(test_tables_fit), cmocka_unit_test(test_quantiles))
