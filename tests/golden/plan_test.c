/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plans as people and programs get them, byte for byte. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "compare.h"
#include "view/plan.h"
#include "view/style.h"

static const struct lp_plan_machine machine = {
        .range_low = {32768, true},
        .range_high = {60999, true},
        .ports = {28232, true},
        .tw_reuse = {2, true},
        .tw_reuse_delay_ms = {1000, true},
        .timestamps = {1, true},
        .tick_us = {4000, true},
        .max_tw_buckets = {131072, true},
        .time_wait = {1072, true},
        .descriptors = {1024, true},
        .nr_open = {1048576, true},
        .file_max = {INT64_MAX, true},
        .files = {3000, true},
        .conntrack_max = {262144, true},
        .conntrack_entries = {2144, true},
        .conntrack_time_wait_s = {120, true},
        .somaxconn = {4096, true},
        .tracks = true,
};

static const struct wish {
	const char *name;
	struct lp_plan_wishes wishes;
	bool stranger; /* a machine of which nothing is known */
} all[] = {
        {"highest", {.requests = 1, .hold_s = 1, .sources = 1, .destinations = 1}, false},
        {"carries",
         {.rate = {300, true}, .requests = 1, .hold_s = 0.05, .sources = 1, .destinations = 1},
         false},
        {"too-much",
         {.rate = {4000, true}, .requests = 2, .hold_s = 2, .sources = 1, .destinations = 2},
         false},
        {"bind-first",
         {.rate = {2000, true},
          .requests = 1,
          .hold_s = 0,
          .sources = 2,
          .destinations = 3,
          .bind_first = true},
         false},
        {"server",
         {.rate = {3000, true},
          .requests = 1,
          .hold_s = 0.2,
          .sources = 4,
          .destinations = 1,
          .burst = {20000, true},
          .role = LP_PLAN_SERVER,
          .closer = LP_CLOSER_SERVER},
         false},
        {"router",
         {.rate = {3000, true},
          .requests = 1,
          .hold_s = 30,
          .sources = 20,
          .destinations = 20,
          .translated = 1,
          .nat_low = 1024,
          .nat_high = 65535,
          .role = LP_PLAN_ROUTER},
         false},
        {"crowd",
         {.rate = {4000, true},
          .requests = 1,
          .hold_s = 300,
          .sources = 1000,
          .destinations = 1,
          .role = LP_PLAN_SERVER},
         false},
        {"stranger",
         {.rate = {300, true}, .requests = 1, .hold_s = 1, .sources = 1, .destinations = 1},
         true},
};

static struct lp_plan make(const struct wish *wish)
{
	static const struct lp_plan_machine nothing;
	struct lp_plan plan;
	lp_plan_make(&wish->wishes, wish->stranger ? &nothing : &machine, &plan);
	return plan;
}

static char *text_of(const struct lp_plan *plan, const struct lp_text_options *options)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(
	        options ? lp_plan_view_text(plan, options, out) : lp_plan_view_json(plan, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void golden(const struct wish *wish, const char *ending,
                   const struct lp_text_options *options)
{
	struct lp_plan plan = make(wish);
	char name[64];
	(void)snprintf(name, sizeof(name), "plan-%s%s", wish->name, ending);
	_cleanup_(lp_free_ptr) char *text = text_of(&plan, options);
	golden_compare(name, text);
}

static void texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		golden(&all[i], ".txt", &(struct lp_text_options){.width = 80, .unicode = true});
}

static void colour_and_ascii(void **state)
{
	(void)state;
	golden(&all[4], "-colour.txt",
	       &(struct lp_text_options){.width = 80, .unicode = true, .colour = true});
	golden(&all[0], "-ascii.txt", &(struct lp_text_options){.width = 80});
}

static void json(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct lp_plan plan = make(&all[i]);
		_cleanup_(lp_free_ptr) char *text = text_of(&plan, NULL);
		json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(root);
		json_decref(root);
		golden(&all[i], ".json", NULL);
	}
}

/* No line is longer than the width, nor ends in blanks. */
static void widths(void **state)
{
	(void)state;
	struct lp_locale locale = lp_locale_enter();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (unsigned width = 80; width < 140; width += 7) {
			struct lp_plan plan = make(&all[i]);
			_cleanup_(lp_free_ptr) char *text = text_of(
			        &plan, &(struct lp_text_options){.width = width, .unicode = true});
			char *rest = text, *line;
			while ((line = strsep(&rest, "\n"))) {
				if (lp_text_width(line) > width ||
				    (*line && line[strlen(line) - 1] == ' '))
					fail_msg("%s, %u columns: '%s'", all[i].name, width, line);
			}
		}
	lp_locale_leave(&locale);
}

static void a_full_disk_is_told(void **state)
{
	(void)state;
	struct lp_plan plan = make(&all[0]);
	_cleanup_(lp_close_file) FILE *full = fopen("/dev/full", "we");
	assert_non_null(full);
	assert_int_equal(lp_plan_view_text(&plan, &(struct lp_text_options){.width = 80}, full),
	                 -ENOSPC);
	assert_int_equal(lp_plan_view_json(&plan, full), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(texts),
	        cmocka_unit_test(colour_and_ascii),
	        cmocka_unit_test(json),
	        cmocka_unit_test(widths),
	        cmocka_unit_test(a_full_disk_is_told),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
