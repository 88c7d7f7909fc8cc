/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The most conntrack entries that `lastport plan` says there will be: those that are over wait for
 * a sweep, and how often the kernel sweeps goes by all entries of the machine. So it runs alone.
 */

#include <time.h>

#include "base/clock.h"
#include "lab/cost.h"
#include "run.h"

/* The first sweep may be a minute away, and tells when the next one will be. */
enum { MOST_S = 130, PEAKS = 3, TICK_NS = 20000000, PATIENCE_S = 60 };
static const double sweep_takes_s = 0.8;

static const struct course course = {.name = "conntrack",
                                     .ports = 10000,
                                     .sources = 1,
                                     .destinations = 1,
                                     .hold_ms = 0,
                                     .closing_s = 4,
                                     .per_s = 250};

/*
 * Of all namespaces that can be seen but one. Not asked while entries wait: a dump of them removes
 * those that have run out (ctnetlink_dump_table()).
 */
static int64_t others_entries(uint64_t own)
{
	_cleanup_(answer_done) struct answer answer = ask_all();
	json_t *limit;
	size_t i;
	int64_t n = 0;
	json_array_foreach(json_object_get(answer.root, "limits"), i, limit)
	{
		const json_t *netns = json_object_get(limit, "netns");
		if (strcmp(json_string_value(json_object_get(limit, "kind")),
		           "conntrack-entries") != 0 ||
		    (uint64_t)json_integer_value(json_object_get(netns, "inode")) == own)
			continue;
		n += json_integer_value(json_object_get(limit, "used"));
		n += json_integer_value(json_object_get(limit, "reusable"));
	}
	return n;
}

/* Whether nobody else has entries: those of the tests before go with their namespaces. */
static bool wait_until_alone(void)
{
	int64_t deadline = lp_clock_ns() + PATIENCE_S * INT64_C(1000000000);
	while (others_entries(0) > 0) {
		if (lp_clock_ns() > deadline)
			return false;
		lp_clock_sleep_ms(200);
	}
	return true;
}

/* Waits for a sweep, and for those that it and the next ones worked out. How many were seen. */
static unsigned watch(struct run *run, double peaks[PEAKS])
{
	double now_s = 0, settled_s = course.closing_s + 1;
	unsigned seen = 0;
	bool over = false;
	for (int64_t start = lp_clock_ns(); now_s < MOST_S && !over;
	     now_s = (double)(lp_clock_ns() - start) / 1e9) {
		run_watch_sweeps(run, now_s);
		if (now_s < settled_s)
			run->sweeps = 0;
		if (run->sweeps > seen + 1) /* the first one was worked out before */
			peaks[seen++] = (double)run->before_sweep;
		over = seen == PEAKS && now_s - run->swept_s > sweep_takes_s;
		(void)nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
	}
	note("%u peaks in %.1f s, the last after %.1f s", seen, now_s, run->sweep_s);
	return seen;
}

static void entries_that_wait_to_be_swept(void **state)
{
	(void)state;
	struct run run;
	double peaks[PEAKS];
	if (!wait_until_alone()) {
		note("others have conntrack entries: it must be alone on the machine");
		skip();
	}
	run_make(&run, &course, 1);
	run_start(&run);
	unsigned seen = watch(&run, peaks);
	run_stop(&run);
	run_join(&run);
	run_must_carry(&run);
	assert_int_equal(seen, PEAKS);
	assert_int_equal(others_entries(run.router.router.inode), 0);
	double alive = run.rate * (course.hold_ms / 1000.0 + course.closing_s);
	assert_near("conntrack entries after a sweep", alive, (double)run.after_sweep);
	assert_near("conntrack entries before a sweep", run.entries, lab_median(peaks, PEAKS));
	run_done(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(entries_that_wait_to_be_swept)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
