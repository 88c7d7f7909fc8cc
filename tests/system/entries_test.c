/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The most conntrack entries that `lastport plan` says there will be: those that are over wait for
 * a sweep, and how often the kernel sweeps goes by all entries of the machine. So it runs alone.
 */

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "run.h"

/* A sweep may be a minute away, and tells when the next one will be. */
enum { MOST_S = 110, SWEEPS = 2, TICK_NS = 20000000, ASK_EVERY_NS = 300000000 };
static const double sweep_takes_s = 0.8, quiet_s = 3, silence_s = 1.5;

static const struct course course = {.name = "conntrack",
                                     .ports = 10000,
                                     .sources = 1,
                                     .destinations = 1,
                                     .hold_ms = 50,
                                     .closing_s = 4,
                                     .per_s = 250};

/* In all namespaces; as if very many where not all could be seen. */
static int64_t machine_entries(void)
{
	_cleanup_(answer_done) struct answer answer =
	        ask_raw("status", "--json", "--all", "--kind", "conntrack-entries", NULL);
	json_t *limit;
	size_t i;
	int64_t n = answer_misses(&answer, "namespaces") ? INT32_MAX : 0;
	json_array_foreach(json_object_get(answer.root, "limits"), i, limit)
	{
		n += json_integer_value(json_object_get(limit, "used"));
		n += json_integer_value(json_object_get(limit, "reusable"));
	}
	return n;
}

/* A process that tells it again and again: to ask may take longer than a sweep. */
static int tell_entries(void *data, int say)
{
	(void)data;
	for (ssize_t r = write(say, "", 1); r > 0;) {
		int64_t n = machine_entries();
		r = write(say, &n, sizeof(n));
		(void)nanosleep(&(struct timespec){.tv_nsec = ASK_EVERY_NS}, NULL);
	}
	return 0;
}

/* What it told last; 0: nothing new. */
static int64_t told(const struct lab_child *teller)
{
	struct pollfd ready = {.fd = teller->said, .events = POLLIN};
	int64_t n = 0;
	while (poll(&ready, 1, 0) > 0 && read(teller->said, &n, sizeof(n)) == sizeof(n))
		;
	return n;
}

/* Waits for sweeps that were made, and the time to them worked out, with no others' entries. */
static bool watch(struct run *run)
{
	_cleanup_(lab_child_stop) struct lab_child teller = LAB_CHILD_NONE;
	int64_t most_others = 0;
	bool swept = false;
	double now_s = 0, disturbed_s = 0, told_s = 0;
	must(lab_child_start(&teller, tell_entries, NULL));
	for (int64_t start = lp_clock_ns(); now_s < MOST_S && !swept;
	     now_s = (double)(lp_clock_ns() - start) / 1e9) {
		run_watch_sweeps(run, now_s);
		int64_t entries = told(&teller), others = entries - run->entries_now;
		most_others = others > most_others ? others : most_others;
		told_s = entries ? now_s : told_s;
		if (others * 50 > run->entries_now || now_s - told_s > silence_s)
			disturbed_s = now_s;
		if (now_s - disturbed_s < quiet_s)
			run->sweeps = 0;
		swept = run->sweeps >= SWEEPS && now_s - run->swept_s > sweep_takes_s;
		(void)nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
	}
	note("%u sweeps in %.1f s, the last after %.1f s; up to %jd entries of others", run->sweeps,
	     now_s, run->sweep_s, (intmax_t)most_others);
	return swept;
}

static void entries_that_wait_to_be_swept(void **state)
{
	(void)state;
	struct run run;
	run_make(&run, &course, 1);
	run_start(&run);
	bool swept = watch(&run);
	run_stop(&run);
	run_join(&run);
	run_must_carry(&run);
	if (!swept) {
		note("others had entries all the time: it must be alone on the machine");
		run_done(&run);
		skip();
	}
	double alive = run.rate * (course.hold_ms / 1000.0 + course.closing_s);
	assert_near("conntrack entries after a sweep", alive, (double)run.after_sweep);
	assert_near("conntrack entries before a sweep", run.entries, (double)run.before_sweep);
	run_done(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(entries_that_wait_to_be_swept)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
