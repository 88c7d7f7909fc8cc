/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static void figures_as_people_read_them(void **state)
{
	(void)state;
	char buf[LP_FIGURE_TEXT];
	assert_string_equal(lp_text_count(0, buf), "0");
	assert_string_equal(lp_text_count(999, buf), "999");
	assert_string_equal(lp_text_count(1000, buf), "1,000");
	assert_string_equal(lp_text_count(28232, buf), "28,232");
	assert_string_equal(lp_text_count(UINT64_MAX, buf), "18,446,744,073,709,551,615");
	assert_string_equal(lp_text_bytes(1023, buf), "1023 B");
	assert_string_equal(lp_text_bytes(1024, buf), "1.0 KiB");
	assert_string_equal(lp_text_bytes(1024 * 1024 - 1, buf), "1.0 MiB");
	assert_string_equal(lp_text_bytes(UINT64_MAX, buf), "16.0 EiB");
	assert_string_equal(lp_text_real(470.53, buf), "470.5");
	assert_string_equal(lp_text_real(470.55, buf), "470.6");
	assert_string_equal(lp_text_real(0, buf), "0.0");
	assert_string_equal(lp_text_real(123456.78, buf), "123,456.8");
	assert_string_equal(lp_text_real(1e300, buf), "1e+300");
}

/* Rounded up, 99.99 % would read as full, and 119.9 s as two minutes. */
static void percents_and_spans_round_down(void **state)
{
	(void)state;
	char buf[LP_FIGURE_TEXT];
	assert_string_equal(lp_text_percent(0, buf), "0.0 %");
	assert_string_equal(lp_text_percent(9985, buf), "99.8 %");
	assert_string_equal(lp_text_percent(9999, buf), "99.9 %");
	assert_string_equal(lp_text_percent(10000, buf), "100.0 %");
	assert_string_equal(lp_text_span(0, buf), "0 s");
	assert_string_equal(lp_text_span(119.9, buf), "119 s");
	assert_string_equal(lp_text_span(120, buf), "2 min");
	assert_string_equal(lp_text_span(7199, buf), "119 min");
	assert_string_equal(lp_text_span(7200, buf), "2 h");
	assert_string_equal(lp_text_span(172800, buf), "2 d");
	assert_string_equal(lp_text_span(86400.0 * 999, buf), "999 d");
	assert_string_equal(lp_text_span(86400.0 * 1000, buf), "years");
	assert_string_equal(lp_text_span(INFINITY, buf), "years");
}

static void width_is_in_columns(void **state)
{
	(void)state;
	assert_int_equal(lp_text_width(""), 0);
	assert_int_equal(lp_text_width("a → b"), 5);
	assert_int_equal(lp_text_width("漢字"), 4);
	assert_int_equal(lp_text_width("e\xcc\x81"), 1); /* with a combining accent */
	assert_int_equal(lp_text_width("\xff\xc3"), 2);
}

static void clean_text_can_be_printed(void **state)
{
	(void)state;
	char text[] = "a\033[2J\xff→b\n";
	lp_text_clean(text, true);
	assert_string_equal(text, "a?[2J?→b?");
	lp_text_clean(text, false);
	assert_string_equal(text, "a?[2J??b?");
}

static void assert_shortened(const char *text, size_t width, const char *expected)
{
	char buf[64];
	lp_text_shorten(text, width, "…", buf, sizeof(buf));
	assert_string_equal(buf, expected);
	assert_true(lp_text_width(buf) <= width || width == 0);
}

static void the_middle_goes_first(void **state)
{
	(void)state;
	assert_shortened("10.1.2.3:443", 12, "10.1.2.3:443");
	assert_shortened("10.1.2.3:443", 11, "10.…2.3:443");
	assert_shortened("10.1.2.3:443", 10, "10.….3:443");
	assert_shortened("10.1.2.3:443", 4, "1…43");
	assert_shortened("10.1.2.3:443", 1, "…");
	assert_shortened("漢字漢字漢字", 7, "漢…漢字");
	assert_shortened("漢字漢字漢字", 6, "…漢字");
}

int main(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		printf("Bail out! there is no locale C.UTF-8\n");
		return 1;
	}
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(figures_as_people_read_them),
	        cmocka_unit_test(percents_and_spans_round_down),
	        cmocka_unit_test(width_is_in_columns),
	        cmocka_unit_test(clean_text_can_be_printed),
	        cmocka_unit_test(the_middle_goes_first),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
