/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events as lines. */

#include "view/event.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "unit.h"

static struct lp_event refused(void)
{
	struct lp_event event = {
	        .kind = LP_EVENT_REFUSED,
	        .at_ms = 1767225600123, /* 2026-01-01 00:00:00.123 */
	        .has_netns = true,
	        .netns = {.inode = 4026532316},
	        .netns_name = "bl\033ue",
	        .count = 1234,
	        .rate = lp_real(617),
	        .processes = 1,
	        .pid = 812,
	        .command = "ng\xffnx",
	        .cgroup = "/system.slice/nginx.service",
	        .has_remote = true,
	        .remote = unit_address("2001:db8::1"),
	        .remote_port = 443,
	        .search_ms = lp_real(7.3),
	        .reason = "no-port",
	        .why = "no port is left",
	};
	return event;
}

static void line_is(const struct lp_event_style *style, const struct lp_event *event,
                    const char *expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_event_write(style, event, out), 0);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void people_read_a_line(void **state)
{
	(void)state;
	const struct lp_event_style plain = {.unicode = true}, ascii = {.colour = true};
	struct lp_event event = refused();
	line_is(&plain, &event,
	        "00:00:00     1,234 refused by ng?nx (812) nginx.service → [2001:db8::1]:443 in "
	        "bl?ue, 617.0/s, search 7.3 ms: no port is left\n");
	event.processes = 3;
	event.netns_own = true;
	event.search_ms.n = 0.0164;
	event.cgroup = NULL;
	line_is(&ascii, &event,
	        "00:00:00     1,234 \033[1mrefused\033[0m by ng?nx (3 processes) -> "
	        "[2001:db8::1]:443, 617.0/s, search 16 us: no port is left\n");
	event = (struct lp_event){.kind = LP_EVENT_TIME_WAIT_CUT, .count = 1, .has_netns = true};
	line_is(&plain, &event, "00:00:00         1 TIME_WAIT cut short in namespace 0\n");
}

static void programs_read_an_object(void **state)
{
	(void)state;
	const struct lp_event_style json = {.json = true};
	struct lp_event event = refused();
	line_is(&json, &event,
	        "{\"at\":\"2026-01-01T00:00:00.123Z\",\"event\":\"refused\",\"count\":1234,"
	        "\"netns\":{\"inode\":4026532316,\"name\":\"bl?ue\"},\"rate\":617.0,\"pid\":812,"
	        "\"command\":\"ng?nx\",\"cgroup\":\"/system.slice/nginx.service\","
	        "\"unit\":\"nginx.service\",\"remote\":\"2001:db8::1\",\"remote_port\":443,"
	        "\"search_ms\":7.3,\"why\":\"no-port\"}\n");
	event = (struct lp_event){
	        .kind = LP_EVENT_CLOSED_FIRST, .count = 5, .processes = 2, .why = "a phrase"};
	line_is(&json, &event,
	        "{\"at\":\"1970-01-01T00:00:00.000Z\",\"event\":\"closed-first\",\"count\":5,"
	        "\"processes\":2,\"why\":\"a phrase\"}\n");
}

static void totals_are(const struct lp_event_style *style, const struct lp_event_totals *totals,
                       const char *expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_event_write_totals(style, totals, out), 0);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void the_end_says_what_it_was_in_all(void **state)
{
	(void)state;
	const struct lp_event_style plain = {.unicode = true}, json = {.json = true};
	struct lp_event_totals totals = {.seconds = 9.96};
	totals_are(&plain, &totals, "In 10.0 s: nothing.\n");
	totals_are(&json, &totals,
	           "{\"event\":\"summary\",\"seconds\":10.0,\"counts\":{},\"lost\":0}\n");
	totals.counts[LP_EVENT_REFUSED] = 57;
	totals.counts[LP_EVENT_TIME_WAIT_CUT] = 1204;
	totals.lost = 3;
	totals_are(&plain, &totals, "In 10.0 s: 57 refused, 1,204 TIME_WAIT cut short; 3 lost.\n");
	totals_are(&json, &totals,
	           "{\"event\":\"summary\",\"seconds\":10.0,\"counts\":{\"refused\":57,"
	           "\"time-wait-cut\":1204},\"lost\":3}\n");
}

static void a_full_disk_is_told(void **state)
{
	(void)state;
	struct lp_event event = refused();
	for (int json = 0; json < 2; json++) {
		const struct lp_event_style style = {.json = json};
		_cleanup_(lp_close_file) FILE *full = fopen("/dev/full", "we");
		assert_non_null(full);
		assert_int_equal(lp_event_write(&style, &event, full), -ENOSPC);
	}
}

UNIT_MAIN(cmocka_unit_test(people_read_a_line), cmocka_unit_test(programs_read_an_object),
          cmocka_unit_test(the_end_says_what_it_was_in_all), cmocka_unit_test(a_full_disk_is_told))
