/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf8.h"
#include "unit.h"

static void cleans(const char *dirty, const char *clean)
{
	char text[64];
	assert_true(strlen(dirty) < sizeof(text));
	memcpy(text, dirty, strlen(dirty) + 1);
	lp_utf8_clean(text);
	assert_string_equal(text, clean);
}

static void printable_text_stays(void **state)
{
	(void)state;
	cleans("", "");
	cleans("nginx: worker ~", "nginx: worker ~");
	cleans("h\xc3\xbcgel \xe2\x86\x92 \xf0\x9f\x90\xa7",
	       "h\xc3\xbcgel \xe2\x86\x92 \xf0\x9f\x90\xa7");
	/* the first and last of each length */
	cleans("\xc2\xa0 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf",
	       "\xc2\xa0 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf");
}

static void controls_go(void **state)
{
	(void)state;
	cleans("a\nb\x1b[31mc\x7f", "a?b?[31mc?");
	cleans("\x01\x1f ", "?? ");
	cleans("\xc2\x85", "??"); /* NEL, a C1 control */
}

static void what_is_not_utf8_goes(void **state)
{
	(void)state;
	cleans("\x80", "?");
	cleans("\xff\xfe", "??");
	cleans("\xc0\xaf", "??");           /* '/' in two bytes */
	cleans("\xe0\x9f\xbf", "???");      /* U+07FF in three */
	cleans("\xf0\x8f\xbf\xbf", "????"); /* U+FFFF in four */
	cleans("\xed\xa0\x80", "???");      /* a surrogate */
	cleans("\xf4\x90\x80\x80", "????"); /* past the end of Unicode */
	cleans("\xf5\x80\x80\x80", "????");
}

static void a_character_cut_off_goes_and_the_rest_stays(void **state)
{
	(void)state;
	cleans("abc\xe2\x86", "abc??");
	cleans("\xf0\x9f\x90", "???");
	cleans("\xc3", "?");
	cleans("\xc3(x", "?(x");
	cleans("\xe2\x86\xc3\xbc", "??\xc3\xbc");
}

UNIT_MAIN(cmocka_unit_test(printable_text_stays), cmocka_unit_test(controls_go),
          cmocka_unit_test(what_is_not_utf8_goes),
          cmocka_unit_test(a_character_cut_off_goes_and_the_rest_stays))
