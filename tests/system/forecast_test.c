/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The forecast against what then happens: connections are opened and closed at a steady rate
 * against a small range, lastport is asked half-way, and the kernel says when the ports ran out.
 * The runs go on side by side, each in a namespace of its own.
 */

#include "check.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#include "ask.h"
#include "base/clock.h"

enum { TOLERANCE_PERCENT = 5 };

struct run {
	/* what happens */
	unsigned ports, reuse, delay_ms, buckets;
	double per_s, ask_at_s, seconds;
	/* what is going on */
	struct lab_ns ns;
	struct lab_addr to;
	int listener;
	struct lab_steady steady;
	struct answer answer;
	int64_t before_ns, after_ns; /* it was asked between them */
};

/* In the order in which they are asked. */
enum { REUSE_RUNS_OUT, REUSE_SUSTAINS, BUCKETS, NEVER, RUNS_OUT, RUNS };
static struct run runs[RUNS] = {
        [RUNS_OUT] = {.ports = 1200, .per_s = 100, .ask_at_s = 6, .seconds = 20},
        [NEVER] = {.ports = 1200, .per_s = 15, .ask_at_s = 5, .seconds = 6},
        [BUCKETS] = {.ports = 1200, .buckets = 700, .per_s = 100, .ask_at_s = 3.5, .seconds = 10},
        [REUSE_SUSTAINS] = {.ports = 200,
                            .reuse = 1,
                            .delay_ms = 1000,
                            .per_s = 150,
                            .ask_at_s = 3,
                            .seconds = 6},
        [REUSE_RUNS_OUT] = {.ports = 1000,
                            .reuse = 1,
                            .delay_ms = 6000,
                            .per_s = 200,
                            .ask_at_s = 2.5,
                            .seconds = 10},
};

static void run_start(struct run *run)
{
	struct lp_error err = {0};
	run->ns = LAB_NS_NONE;
	run->to = lab_addr("127.0.0.1", 80);
	assert_ok(lab_ns_make(&run->ns, &err), err);
	assert_ok(lab_sysctl(&run->ns, &err, "ipv4/ip_local_port_range", "20000 %u",
	                     20000 + run->ports - 1),
	          err);
	assert_ok(lab_sysctl(&run->ns, &err, "ipv4/tcp_tw_reuse", "%u", run->reuse), err);
	if (run->delay_ms)
		assert_ok(
		        lab_sysctl(&run->ns, &err, "ipv4/tcp_tw_reuse_delay", "%u", run->delay_ms),
		        err);
	if (run->buckets)
		assert_ok(lab_sysctl(&run->ns, &err, "ipv4/tcp_max_tw_buckets", "%u", run->buckets),
		          err);
	struct lab_how there = {.ns = &run->ns, .from = &run->to};
	run->listener = must(lab_listen(&there, 100));
	run->steady = (struct lab_steady){.how = {.ns = &run->ns},
	                                  .to = run->to,
	                                  .listener = run->listener,
	                                  .end = LAB_CLIENT_FIRST,
	                                  .per_s = run->per_s,
	                                  .most = 1000000,
	                                  .seconds = run->seconds,
	                                  .tell_at = (unsigned)(run->per_s * run->ask_at_s)};
	must(lab_steady_start(&run->steady));
}

/* Starts them all, and asks each at its time. */
static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < RUNS; i++)
		run_start(&runs[i]);
	for (int i = 0; i < RUNS; i++) {
		must(lab_steady_told(&runs[i].steady));
		runs[i].before_ns = lp_clock_ns();
		runs[i].answer = ask_ns(&runs[i].ns);
		runs[i].after_ns = lp_clock_ns();
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < RUNS; i++) {
		lab_steady_stop(&runs[i].steady);
		answer_done(&runs[i].answer);
		(void)close(runs[i].listener);
		lab_ns_done(&runs[i].ns);
	}
	return 0;
}

static json_t *pool_of(const struct run *run)
{
	return limit_must(&run->answer, "local-ports", run->ns.inode,
	                  json_pack("{s:s,s:s,s:i}", "local", "127.0.0.1", "remote", "127.0.0.1",
	                            "remote_port", 80));
}

static double real_of(const json_t *limit, const char *name)
{
	const json_t *figure = json_object_get(limit, name);
	if (!json_is_number(figure))
		fail_msg("a limit without %s", name);
	return json_number_value(figure);
}

static void assert_near(const char *what, double said, double was)
{
	note("%s: said %.2f, was %.2f (%+.1f %%)", what, said, was, (said / was - 1) * 100);
	assert_true(fabs(said / was - 1) * 100 <= TOLERANCE_PERCENT);
}

/* Said of a moment between the two at which the run was asked. */
static void assert_left(const struct run *run, const json_t *limit, int64_t end_ns)
{
	double said = real_of(limit, "exhausted_in_s");
	double most = (double)(end_ns - run->before_ns) / 1e9;
	double least = (double)(end_ns - run->after_ns) / 1e9;
	assert_near("seconds left", said, said > most ? most : said < least ? least : said);
}

/* Waits for the refusal. */
static void check_runs_out(struct run *run)
{
	const json_t *limit = pool_of(run);
	lab_steady_wait(&run->steady);
	assert_int_equal(run->steady.count.error, EADDRNOTAVAIL);
	assert_left(run, limit, run->steady.ended_ns);
	assert_near("rate", real_of(limit, "rate"), run->per_s);
}

static void reuse_runs_out(void **state)
{
	(void)state;
	check_runs_out(&runs[REUSE_RUNS_OUT]);
}

static void runs_out(void **state)
{
	(void)state;
	struct run *run = &runs[RUNS_OUT];
	check_runs_out(run);
	assert_near("sustainable", real_of(pool_of(run), "sustainable"), run->ports / 60.0);
}

/* Refused nothing, and says that it will not. */
static void check_never(struct run *run, double sustainable)
{
	const json_t *limit = pool_of(run);
	assert_true(json_is_null(json_object_get(limit, "exhausted_in_s")));
	assert_near("rate", real_of(limit, "rate"), run->per_s);
	assert_near("sustainable", real_of(limit, "sustainable"), sustainable);
	lab_steady_wait(&run->steady);
	assert_int_equal(run->steady.count.error, 0);
}

static void never(void **state)
{
	(void)state;
	check_never(&runs[NEVER], 1200 / 60.0);
}

/* Several times what the range would hold without tcp_tw_reuse. */
static void reuse_sustains(void **state)
{
	(void)state;
	struct run *run = &runs[REUSE_SUSTAINS];
	check_never(run, 200 / 1.0);
	assert_true(run->steady.count.n > 3 * run->ports);
}

/* The moment from which TIME_WAIT is cut short. */
static void buckets_overflow(void **state)
{
	(void)state;
	struct run *run = &runs[BUCKETS];
	const json_t *limit =
	        limit_must(&run->answer, "time-wait-buckets", run->ns.inode, json_object());
	int64_t deadline = lp_clock_ns() + INT64_C(20000000000);
	while (lab_counter(&run->ns, "TcpExt", "TCPTimeWaitOverflow") == 0 &&
	       lp_clock_ns() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	assert_left(run, limit, lp_clock_ns());
}

int main(void)
{
	/* The overflow is watched for, so it comes before those that wait for a thread's end. */
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(buckets_overflow), cmocka_unit_test(reuse_runs_out),
	        cmocka_unit_test(reuse_sustains),   cmocka_unit_test(never),
	        cmocka_unit_test(runs_out),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("forecast", tests, setup, teardown);
}
