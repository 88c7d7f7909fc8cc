/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The views, byte for byte, against the files beside this one (GOLDEN_DIR). UPDATE_GOLDEN=1 writes
 * them anew: look at the difference before it is committed.
 */

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "compare.h"
#include "fixtures.h"
#include "view/style.h"

enum { SCREEN_ROWS = 10 };

struct look {
	const char *name; /* of the file, after the fixture's */
	struct lp_text_options options;
};

static const struct look looks[] = {
        {"80.txt", {.width = 80, .unicode = true, .rows = SCREEN_ROWS}},
        {"120.txt", {.width = 120, .unicode = true, .rows = SCREEN_ROWS}},
        {"200.txt", {.width = 200, .unicode = true, .rows = SCREEN_ROWS}},
        {"all.txt", {.width = 80, .unicode = true}},
        {"colour.txt", {.width = 80, .unicode = true, .colour = true, .rows = SCREEN_ROWS}},
        {"ascii.txt", {.width = 80, .rows = SCREEN_ROWS}},
};

static char *text_of(const struct lp_report *report, const struct lp_text_options *options)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_view_text(report, options, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *json_of(const struct lp_report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_view_json(report, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_text(void **state)
{
	const struct fixture *fixture = *state;
	struct lp_report *report = fixture_make(fixture);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		char name[128];
		(void)snprintf(name, sizeof(name), "%s-%s", fixture->name, looks[i].name);
		_cleanup_(lp_free_ptr) char *text = text_of(report, &looks[i].options);
		golden_compare(name, text);
	}
	fixture_free(report);
}

static void test_json(void **state)
{
	const struct fixture *fixture = *state;
	struct lp_report *report = fixture_make(fixture);
	char name[128];
	(void)snprintf(name, sizeof(name), "%s.json", fixture->name);
	_cleanup_(lp_free_ptr) char *text = json_of(report);
	golden_compare(name, text);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "limits")), report->limits.n);
	json_decref(json);
	fixture_free(report);
}

/* Whole at each width: no line is longer, and nothing but text and line ends comes out. */
static void check_lines(const char *text, size_t width, bool unicode)
{
	_cleanup_(lp_free_ptr) char *copy = strdup(text);
	char *rest = copy, *line;
	assert_non_null(copy);
	while ((line = strsep(&rest, "\n"))) {
		if (lp_text_width(line) > width)
			fail_msg("%zu columns of %zu: %s", lp_text_width(line), width, line);
		for (const char *c = line; *c; c++)
			assert_true((unsigned char)*c >= ' ' && (unicode || *c > 0));
		size_t length = strlen(line);
		assert_true(length == 0 || line[length - 1] != ' ');
	}
}

static void test_widths(void **state)
{
	const struct fixture *fixture = *state;
	struct lp_report *report = fixture_make(fixture);
	struct lp_locale locale = lp_locale_enter();
	assert_true(locale.utf8 != (locale_t)0);
	for (unsigned width = 72; width <= 240; width++)
		for (int unicode = 0; unicode < 2; unicode++) {
			struct lp_text_options options = {
			        .width = width, .unicode = unicode, .rows = width % 2 ? 5 : 0};
			_cleanup_(lp_free_ptr) char *text = text_of(report, &options);
			check_lines(text, width, unicode);
		}
	lp_locale_leave(&locale);
	fixture_free(report);
}

/* A full disk and a closed file are told, by both views, whatever the buffer holds back. */
static void test_errors(void **state)
{
	const struct lp_text_options options = {.width = 80, .unicode = true};
	struct lp_report *report = fixture_make(*state);
	for (int unbuffered = 0; unbuffered < 2; unbuffered++) {
		_cleanup_(lp_close_file) FILE *full = fopen("/dev/full", "we");
		assert_non_null(full);
		if (unbuffered)
			assert_int_equal(setvbuf(full, NULL, _IONBF, 0), 0);
		assert_int_equal(lp_view_text(report, &options, full), -ENOSPC);
		assert_int_equal(lp_view_json(report, full), -ENOSPC);
	}
	_cleanup_(lp_close_file) FILE *read_only = fopen("/dev/null", "re");
	assert_non_null(read_only);
	assert_int_equal(lp_view_text(report, &options, read_only), -EBADF);
	assert_int_equal(lp_view_json(report, read_only), -EBADF);
	fixture_free(report);
}

/* A head that is larger than any buffer comes out whole as well. */
static void test_many_gaps(void **state)
{
	enum { MANY = 500 };
	struct lp_report *report = fixture_make(*state);
	size_t before = report->snapshot->n_gaps;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(lp_snapshot_gap(report->snapshot, "sockets", i + 1, "gap %u", i),
		                 0);
	_cleanup_(lp_free_ptr) char *text = json_of(report);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	json_t *gaps = json_object_get(json, "incomplete");
	assert_int_equal(json_array_size(gaps), before + MANY);
	assert_string_equal(
	        json_string_value(json_object_get(json_array_get(gaps, before + MANY - 1), "why")),
	        "gap 499");
	json_decref(json);
	fixture_free(report);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction run;
	} tests[] = {{"text", test_text},
	             {"json", test_json},
	             {"widths", test_widths},
	             {"errors", test_errors},
	             {"many gaps", test_many_gaps}};
	enum { KINDS = sizeof(tests) / sizeof(tests[0]), MOST = 64 };
	struct CMUnitTest all[MOST];
	static char names[MOST][64];
	size_t n = 0;
	for (const struct fixture *fixture = fixtures; fixture->name; fixture++)
		for (size_t i = 0; i < KINDS && n < MOST; i++, n++) {
			(void)snprintf(names[n], sizeof(names[n]), "%s of %s", tests[i].name,
			               fixture->name);
			all[n] = (struct CMUnitTest){.name = names[n],
			                             .test_func = tests[i].run,
			                             .initial_state = (void *)fixture};
		}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("golden", all, n, NULL, NULL);
}
