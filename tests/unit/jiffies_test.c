/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_reader.h"
#include "unit.h"

static const uint32_t rates[] = {100, 250, 300, 1000};
enum { N_RATES = sizeof(rates) / sizeof(rates[0]) };

/* As a kernel counts: from 300 s before the low 32 bits are full. */
static uint64_t jiffies_at(uint32_t hz, double seconds)
{
	return (UINT64_C(1) << 32) - 300 * (uint64_t)hz + (uint64_t)(seconds * hz);
}

static uint32_t told(uint32_t hz, double seconds)
{
	return lp_hz_since_boot(jiffies_at(hz, seconds), (uint64_t)(seconds * 1e9));
}

static void uptime_tells_the_rate(void **state)
{
	(void)state;
	static const double seconds[] = {1, 60, 200, 500, 3600, 86400, 1e7, 3e8};
	for (size_t i = 0; i < N_RATES; i++)
		for (size_t k = 0; k < sizeof(seconds) / sizeof(seconds[0]); k++)
			assert_int_equal(told(rates[i], seconds[k]), rates[i]);
}

/* Five minutes after boot every rate fits: better none than a wrong one. */
static void where_it_does_not_none_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_RATES; i++) {
		assert_int_equal(told(rates[i], 300), 0);
		for (unsigned half = 0; half < 2400; half++) {
			uint32_t hz = told(rates[i], half / 2.0);
			assert_true(hz == 0 || hz == rates[i]);
		}
	}
	assert_int_equal(lp_hz_since_boot(0, 5000 * UINT64_C(1000000000)), 0);
}

static void a_tenth_of_a_second_tells_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_RATES; i++) {
		assert_int_equal(lp_hz_between(rates[i] / 10, 100300000), rates[i]);
		assert_int_equal(lp_hz_between(rates[i] / 10 + 1, 101000000), rates[i]);
	}
	assert_int_equal(lp_hz_between(0, 100000000), 0);
	assert_int_equal(lp_hz_between(100000, 100000000), 0);
}

UNIT_MAIN(cmocka_unit_test(uptime_tells_the_rate), cmocka_unit_test(where_it_does_not_none_is_told),
          cmocka_unit_test(a_tenth_of_a_second_tells_it))
