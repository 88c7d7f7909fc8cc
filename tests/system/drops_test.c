/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What connection tracking drops for, told from its counters: each cause is brought about in a
 * namespace of its own, and named, and no other one is.
 */

#include "check.h"

#include <errno.h>

#include "ask.h"
#include "lab/router.h"
#include "tracked.h"

/* The limit's packets by cause. */
static json_t *drops_of(const struct answer *answer, const struct lab_ns *ns)
{
	json_t *limit = limit_must(answer, "conntrack-entries", ns->inode, json_object());
	json_t *drops = json_object_get(limit, "drops");
	assert_non_null(drops);
	return drops;
}

static void expect_alone(const struct lab_ns *ns, const char *cause, uint64_t packets)
{
	_cleanup_(answer_done) struct answer answer = ask_ns(ns);
	json_t *drops = drops_of(&answer, ns);
	if (json_object_size(drops) != (cause ? 1 : 0) ||
	    (cause && (uint64_t)json_integer_value(json_object_get(drops, cause)) != packets)) {
		_cleanup_(lp_free_ptr) char *text = json_dumps(drops, 0);
		fail_msg("%s, not %llu %s", text, (unsigned long long)packets, cause);
	}
}

static uint64_t counted_drops(const struct lab_ns *ns)
{
	struct lp_error err = {0};
	struct lab_conntrack_stats stats;
	assert_ok(lab_conntrack_stats(ns, &stats, &err), err);
	return stats.drop;
}

/* One SYN from a port of our choice, refused without an answer. */
static void knock_in_vain(const struct tracked *t, uint16_t port)
{
	struct lab_addr from = lab_addr("127.0.0.1", port);
	struct lab_how how = {.ns = &t->ns, .from = &from, .timeout_ms = 100};
	assert_int_equal(lab_connect(&how, &t->to), -ETIMEDOUT);
}

static void a_full_table(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {
	        .from = lab_addr("10.0.0.1", 2000), .to = lab_addr("10.9.0.1", 80), .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&t.ns, &fill, 0, &err), err);
	expect_alone(&t.ns, NULL, 0);
	for (uint16_t i = 0; i < 3; i++)
		knock_in_vain(&t, (uint16_t)(5000 + i));
	assert_true(counted_drops(&t.ns) >= 3);
	expect_alone(&t.ns, "table_full", counted_drops(&t.ns));
	untrack(&t);
}

/* Another connection, by a translated address, has the answers of the new one. */
static void a_clash(void **state)
{
	enum { PORT = 5000 };
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {.from = lab_addr("127.0.0.1", PORT),
	                                  .to = t.to,
	                                  .asked = lab_addr("10.9.9.9", 80),
	                                  .ports = 1,
	                                  .n = 1};
	assert_ok(lab_conntrack_fill(&t.ns, &fill, &err), err);
	knock_in_vain(&t, PORT);
	assert_true(counted_drops(&t.ns) >= 1);
	expect_alone(&t.ns, "clash", counted_drops(&t.ns));
	untrack(&t);
}

static void no_port_for_nat(void **state)
{
	enum { FIRST = 20000, PORTS = 50, CLIENT = 10000, SERVER = 80, TOO_MANY = 4 };
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_router_done) struct lab_router router = LAB_ROUTER_NONE;
	assert_ok(lab_ns_make(&router.client, &err), err);
	assert_ok(lab_ns_make(&router.router, &err), err);
	assert_ok(lab_ns_make(&router.server, &err), err);
	assert_ok(lab_router_join(&router, &err), err);
	assert_ok(lab_router_translate(&router, FIRST, FIRST + PORTS - 1, &err), err);
	assert_ok(lab_nft_drop(&router.server, SERVER, &err), err); /* no answer ends an entry */
	for (uint16_t i = 0; i < PORTS + TOO_MANY; i++) {
		int r = lab_router_try(&router, (uint16_t)(CLIENT + i), SERVER, &err);
		assert_ok(r, err);
		assert_int_equal(r, i < PORTS);
	}
	assert_true(counted_drops(&router.router) >= TOO_MANY);
	expect_alone(&router.router, "no_nat_port", counted_drops(&router.router));
}

/* A rule drops: that is nothing of connection tracking's. */
static void a_rule_is_not_its_doing(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {.from = lab_addr("10.0.0.1", 2000),
	                                  .to = lab_addr("10.9.0.1", 80),
	                                  .ports = 10,
	                                  .n = 10};
	assert_ok(lab_conntrack_fill(&t.ns, &fill, &err), err);
	assert_ok(lab_nft_drop(&t.ns, 80, &err), err);
	knock_in_vain(&t, 5000);
	expect_alone(&t.ns, NULL, 0);
	untrack(&t);
}

/* ---- live ----------------------------------------------------------------------------------- */

/* Of a trace of a second; and how many traces are made until enough was told. */
enum { TRACE_MS = 60000, PATIENCE = 20, ENOUGH = 5 };

/* Knocks until it is stopped. */
static int knock_on(void *data, int say)
{
	const struct tracked *t = data;
	for (uint16_t port = 6000;; port++) {
		struct lab_addr from = lab_addr("127.0.0.1", port);
		struct lab_how how = {.ns = &t->ns, .from = &from, .timeout_ms = 20};
		int fd = lab_connect(&how, &t->to);
		if (fd >= 0 || (port == 6000 && write(say, "r", 1) != 1))
			return 1;
	}
}

/* How many events of a kind a trace of the namespace told, each with this in a member. */
static uint64_t events(const struct lab_output *out, const char *kind, const char *member,
                       const char *words)
{
	uint64_t n = 0;
	for (const char *line = out->text; line && *line;) {
		json_auto_t *event = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
		const char *is = json_string_value(json_object_get(event, "event"));
		const char *says = json_string_value(json_object_get(event, member));
		if (is && !strcmp(is, kind)) {
			if (!says || !strstr(says, words))
				fail_msg("%s for %s, not %s", kind, says ? says : "nothing", words);
			n += (uint64_t)json_integer_value(json_object_get(event, "count"));
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return n;
}

static void trace_of(const struct tracked *t, struct lab_output *out)
{
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%llu", (unsigned long long)t->ns.inode);
	const char *const argv[] = {getenv("LASTPORT"), "trace", "--json", "--netns", inode,
	                            "--interval",       "0.2",   "--for",  "1",       NULL};
	struct tracked target = *t;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, knock_on, &target));
	must(lab_run(argv, TRACE_MS, out, NULL));
	lab_child_stop(&child);
}

/*
 * The cause by the counters, the place by the program: both of connection tracking. And a line of
 * the log, once what others used up of its ten in 5 s is back.
 */
static void a_full_table_is_told_live(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	struct lab_output out;
	track(&t);
	struct lab_conntrack_fill fill = {
	        .from = lab_addr("10.0.0.1", 2000), .to = lab_addr("10.9.0.1", 80), .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&t.ns, &fill, 0, &err), err);
	uint64_t lines = 0, causes = 0, places = 0;
	for (int i = 0; (!lines || causes < ENOUGH) && i < PATIENCE; i++) {
		trace_of(&t, &out);
		lines += events(&out, "log", "what", "conntrack-full");
		causes += events(&out, "conntrack-drop", "why", "the table is full");
		places +=
		        events(&out, "netfilter-drop", "why", "nf_hook_slow: connection tracking");
		lab_output_done(&out);
	}
	assert_true(lines);
	assert_true(causes >= ENOUGH);
	assert_true(!HAVE_BPF || places >= ENOUGH);
	untrack(&t);
}

static void a_rule_is_told_live_and_nothing_else(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	struct lab_output out;
	track(&t);
	assert_ok(lab_nft_drop(&t.ns, 80, &err), err);
	uint64_t places = 0;
	for (int i = 0; places < ENOUGH && i < (HAVE_BPF ? PATIENCE : 1); i++) {
		trace_of(&t, &out);
		assert_int_equal(events(&out, "conntrack-drop", "why", ""), 0);
		places += events(&out, "netfilter-drop", "why", "nft_do_chain: a rule");
		lab_output_done(&out);
	}
	assert_true(!HAVE_BPF || places >= ENOUGH);
	untrack(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_full_table),
	        cmocka_unit_test(a_clash),
	        cmocka_unit_test(no_port_for_nat),
	        cmocka_unit_test(a_rule_is_not_its_doing),
	        cmocka_unit_test(a_full_table_is_told_live),
	        cmocka_unit_test(a_rule_is_told_live_and_nothing_else),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("drops", tests, NULL, NULL);
}
