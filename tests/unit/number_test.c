/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/number.h"
#include "unit.h"

static void a_number_ends_where_its_digits_end(void **state)
{
	(void)state;
	const char *text = "0042 rest";
	uint64_t n = 7;
	assert_int_equal(lp_number_parse(&text, UINT64_MAX, &n), 0);
	assert_int_equal(n, 42);
	assert_string_equal(text, " rest");
}

static void what_is_no_number_changes_nothing(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", " 1", "-1", "+1", "x", "\n"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *text = wrong[i];
		uint64_t n = 7;
		assert_int_equal(lp_number_parse(&text, UINT64_MAX, &n), -EINVAL);
		assert_int_equal(n, 7);
		assert_ptr_equal(text, wrong[i]);
	}
}

static void the_largest_number_fits_and_one_more_does_not(void **state)
{
	(void)state;
	uint64_t n = 7;
	assert_int_equal(lp_number_whole("18446744073709551615", UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	n = 7;
	assert_int_equal(lp_number_whole("18446744073709551616", UINT64_MAX, &n), -ERANGE);
	assert_int_equal(lp_number_whole("99999999999999999999999", UINT64_MAX, &n), -ERANGE);
	assert_int_equal(n, 7);
}

static void a_bound_is_kept(void **state)
{
	(void)state;
	uint64_t n = 7;
	assert_int_equal(lp_number_whole("65535", 65535, &n), 0);
	assert_int_equal(n, 65535);
	assert_int_equal(lp_number_whole("65536", 65535, &n), -ERANGE);
	assert_int_equal(n, 65535);
}

static void a_whole_text_may_end_in_one_newline(void **state)
{
	(void)state;
	uint64_t n = 7;
	assert_int_equal(lp_number_whole("12\n", 100, &n), 0);
	assert_int_equal(n, 12);
	assert_int_equal(lp_number_whole("13\n\n", 100, &n), -EINVAL);
	assert_int_equal(lp_number_whole("13 ", 100, &n), -EINVAL);
	assert_int_equal(lp_number_whole("13 14", 100, &n), -EINVAL);
	assert_int_equal(n, 12);
}

static void a_list_is_taken_whole_or_not_at_all(void **state)
{
	(void)state;
	uint64_t n[3] = {7, 8, 9};
	static const char *const wrong[] = {"",        "1",         "1 2",      "1 2 3 4",
	                                    "1\n2\n3", "1 2 three", "1 2 -3",   "1,2,3",
	                                    "1 2 3x",  "1 2 101",   "1 2 3\n\n"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(lp_number_list(wrong[i], 100, n, 3) < 0);
	assert_int_equal(n[0] * 100 + n[1] * 10 + n[2], 789);
	assert_int_equal(lp_number_list(" 1\t 2  3\n", 100, n, 3), 0);
	assert_int_equal(n[0] * 100 + n[1] * 10 + n[2], 123);
}

static void a_list_longer_than_can_be_is_refused(void **state)
{
	(void)state;
	uint64_t n[9] = {0};
	assert_int_equal(lp_number_list("1 2 3 4 5 6 7 8 9", 100, n, 9), -EINVAL);
	assert_int_equal(lp_number_list("1 2 3 4 5 6 7 8", 100, n, 8), 0);
	assert_int_equal(n[7], 8);
}

UNIT_MAIN(cmocka_unit_test(a_number_ends_where_its_digits_end),
          cmocka_unit_test(what_is_no_number_changes_nothing),
          cmocka_unit_test(the_largest_number_fits_and_one_more_does_not),
          cmocka_unit_test(a_bound_is_kept), cmocka_unit_test(a_whole_text_may_end_in_one_newline),
          cmocka_unit_test(a_list_is_taken_whole_or_not_at_all),
          cmocka_unit_test(a_list_longer_than_can_be_is_refused))
