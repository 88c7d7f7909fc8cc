/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nothing is quadratic: ten times as many pools, namespaces or processes take about ten times as
 * long, not a hundred times. Ratios of medians measured in the same run, so that the machine's
 * speed does not matter; and a pool near its limit is found among a hundred thousand others.
 */

#include "check.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include "ask.h"

enum {
	TIMES = 5,
	RATIO_MOST = 20, /* for ten times as many; quadratic would be near 100 */
	POOLS = 100000,
	NAMESPACES = 200,
	PROCESSES = 2000,
	BIG_POOL = 3000,
	RESIDENT_MOST_KIB = 20 * 1024, /* what programs in the kernel read into, too */
};

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* Processor time of all children that ended so far, in ns: a busy machine does not lengthen it. */
static int64_t spent_ns(void)
{
	struct rusage usage;
	must(getrusage(RUSAGE_CHILDREN, &usage));
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

/* The median of what one look costs, in ns of processor time. */
static int64_t cost_of_look(const char *netns)
{
	int64_t costs[TIMES];
	for (int i = 0; i < TIMES; i++) {
		int64_t before = spent_ns();
		struct answer answer = ask_raw("status", "--netns", netns, NULL);
		costs[i] = spent_ns() - before;
		assert_int_equal(answer.status, 0);
		answer_done(&answer);
	}
	qsort(costs, TIMES, sizeof(costs[0]), compare);
	return costs[TIMES / 2];
}

static void check_ratio(const char *what, unsigned few, int64_t few_ns, unsigned many,
                        int64_t many_ns)
{
	note("%s: %u in %.1f ms, %u in %.1f ms: %.1f times as long", what, few,
	     (double)few_ns / 1e6, many, (double)many_ns / 1e6, (double)many_ns / (double)few_ns);
	assert_true(many_ns < few_ns * RATIO_MOST);
}

/* ---- pools ---------------------------------------------------------------------------------- */

struct crowd {
	struct lab_ns ns;
	int listeners[2];
	unsigned made;
};

static void crowd_make(struct crowd *crowd)
{
	struct lp_error err = {0};
	*crowd = (struct crowd){.ns = LAB_NS_NONE};
	assert_ok(lab_ns_make(&crowd->ns, &err), err);
	assert_ok(lab_route_local(&crowd->ns, "10.9.0.0/16", &err), err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/tcp_max_tw_buckets", "500000"), err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/tcp_tw_reuse", "0"), err);
	for (int i = 0; i < 2; i++) {
		struct lab_addr any = lab_addr("0.0.0.0", (uint16_t)(80 + i));
		struct lab_how how = {.ns = &crowd->ns, .from = &any};
		crowd->listeners[i] = must(lab_listen(&how, 10));
	}
}

/* One TIME_WAIT to each of so many destinations: 65,536 addresses, then the next port. */
static void crowd_grow(struct crowd *crowd, unsigned wanted)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&crowd->ns));
	(void)home;
	struct lab_how how = {0};
	for (; crowd->made < wanted; crowd->made++) {
		char text[32];
		unsigned which = crowd->made / 65536, low = crowd->made % 65536;
		(void)snprintf(text, sizeof(text), "10.9.%u.%u", low / 256, low % 256);
		struct lab_addr to = lab_addr(text, (uint16_t)(80 + which));
		must_count(
		        lab_open_and_end(&how, &to, crowd->listeners[which], LAB_CLIENT_FIRST, 1),
		        1);
	}
}

static void pools(void **state)
{
	(void)state;
	struct crowd crowd;
	crowd_make(&crowd);
	struct lab_addr big = lab_addr("127.0.0.1", 80);
	struct lab_how how = {.ns = &crowd.ns};
	_cleanup_(lab_leave) int home = must(lab_enter(&crowd.ns));
	(void)home;
	crowd_grow(&crowd, POOLS / 10);
	int64_t few_ns = cost_of_look("self");
	crowd_grow(&crowd, POOLS);
	int64_t many_ns = cost_of_look("self");
	check_ratio("pools", POOLS / 10, few_ns, POOLS, many_ns);

	struct rusage usage;
	must(getrusage(RUSAGE_CHILDREN, &usage));
	note("at most %ld KiB resident", usage.ru_maxrss);
	assert_in_range(usage.ru_maxrss, 1, RESIDENT_MOST_KIB);

	/* last: in 60 s they end */
	must_count(lab_open_and_end(&how, &big, crowd.listeners[0], LAB_CLIENT_FIRST, BIG_POOL),
	           BIG_POOL);
	_cleanup_(answer_done) struct answer answer =
	        ask_raw("status", "--json", "--all", "--exact", "--netns", "self", NULL);
	assert_int_equal(limit_figure(limit_must(&answer, "time-wait-buckets", crowd.ns.inode,
	                                         json_object()),
	                              "used"),
	                 POOLS + BIG_POOL);
	const json_t *pool =
	        limit_must(&answer, "local-ports", crowd.ns.inode,
	                   json_pack("{s:s,s:i}", "remote", "127.0.0.1", "remote_port", 80));
	assert_int_equal(limit_figure(pool, "used"), BIG_POOL);
	assert_null(json_object_get(pool, "exact")); /* said only where it is false */
	(void)close(crowd.listeners[0]);
	(void)close(crowd.listeners[1]);
	lab_ns_done(&crowd.ns);
}

/* ---- namespaces ----------------------------------------------------------------------------- */

static void grow_namespaces(struct lab_ns *all, unsigned from, unsigned to)
{
	struct lp_error err = {0};
	for (unsigned i = from; i < to; i++)
		assert_ok(lab_ns_make(&all[i], &err), err);
}

static void namespaces(void **state)
{
	(void)state;
	static struct lab_ns all[NAMESPACES];
	grow_namespaces(all, 0, NAMESPACES / 10);
	int64_t few_ns = cost_of_look("all");
	grow_namespaces(all, NAMESPACES / 10, NAMESPACES);
	int64_t many_ns = cost_of_look("all");
	check_ratio("namespaces", NAMESPACES / 10, few_ns, NAMESPACES, many_ns);
	for (unsigned i = 0; i < NAMESPACES; i++)
		lab_ns_done(&all[i]);
}

/* ---- processes ------------------------------------------------------------------------------ */

static int wait_for_end(void *data, int say)
{
	(void)data;
	lab_child_ready(say);
}

static void grow_processes(struct lab_child *all, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		must(lab_child_start(&all[i], wait_for_end, NULL));
}

static void processes(void **state)
{
	(void)state;
	static struct lab_child all[PROCESSES];
	grow_processes(all, 0, PROCESSES / 10);
	int64_t few_ns = cost_of_look("all");
	grow_processes(all, PROCESSES / 10, PROCESSES);
	int64_t many_ns = cost_of_look("all");
	_cleanup_(answer_done) struct answer answer = ask_all();
	for (unsigned i = 0; i < PROCESSES; i++)
		lab_child_stop(&all[i]);
	check_ratio("processes", PROCESSES / 10, few_ns, PROCESSES, many_ns);
	assert_true(json_array_size(json_object_get(answer.root, "limits")) > PROCESSES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pools),
	        cmocka_unit_test(namespaces),
	        cmocka_unit_test(processes),
	};
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("scale", tests, NULL, NULL);
}
