/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Each rule on a real kernel: brought about in a namespace of its own the finding is there, and a
 * step before it is not.
 */

#include "ask.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "finding.h"
#include "lab/conntrack.h"
#include "lab/provoke.h"
#include "lab/router.h"
#include "lab/segment.h"
#include "stage.h"

__attribute__((format(printf, 3, 4))) static void set(struct stage *stage, const char *path,
                                                      const char *format, ...)
{
	struct lp_error err = {0};
	char value[64];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	assert_ok(lab_sysctl(&stage->ns, &err, path, "%s", value), err);
}

static void range(struct stage *stage, unsigned low, unsigned high)
{
	set(stage, "ipv4/ip_local_port_range", "%u %u", low, high);
}

static void hold(struct stage *stage, unsigned n)
{
	must_count(lab_connect_many(&stage->how, &stage->to, n, &stage->fds), n);
}

static void end(struct stage *stage, enum lab_end how, unsigned n)
{
	must_count(lab_open_and_end(&stage->how, &stage->to, stage->listener, how, n), n);
}

/* ---- what is brought about: beyond, or a step before it ---------------------------------------
 */

static void ports_used_up(struct stage *stage, bool beyond)
{
	range(stage, STAGE_LOW, STAGE_LOW + 99);
	hold(stage, beyond ? 100 : 99);
}

static void ports_running_short(struct stage *stage, bool beyond)
{
	range(stage, STAGE_LOW, STAGE_LOW + 99);
	hold(stage, beyond ? 80 : 79);
}

static void short_ones(struct stage *stage, bool beyond)
{
	range(stage, STAGE_LOW, STAGE_LOW + 499);
	if (beyond)
		end(stage, LAB_CLIENT_FIRST, 450);
	else
		hold(stage, 450);
}

/* Half of the 28,232 ports that a new namespace has. */
static void half_a_pool(struct stage *stage, bool beyond)
{
	enum { HALF = 14116 };
	end(stage, LAB_CLIENT_FIRST, beyond ? HALF : HALF - 10);
}

static void bound_first(struct stage *stage, bool beyond)
{
	enum { EACH = 210 };
	struct lab_addr second = lab_addr(STAGE_AT, STAGE_PORT + 1), any = lab_addr(STAGE_AT, 0);
	struct lab_how listen = {.ns = &stage->ns, .from = &second};
	int fd = must(lab_listen(&listen, 4096));
	must(lab_hold(&stage->fds, fd));
	range(stage, STAGE_LOW, STAGE_LOW + 499);
	stage->how.from = &any;
	stage->how.options = beyond ? 0 : LAB_BIND_NO_PORT;
	hold(stage, EACH);
	must_count(lab_connect_many(&stage->how, &second, EACH, &stage->fds), EACH);
	stage->how.from = NULL;
}

static void wide_range(struct stage *stage, bool beyond)
{
	range(stage, 1024, 60999);
	if (!beyond)
		set(stage, "ipv4/ip_local_reserved_ports", "%d", STAGE_PORT);
	hold(stage, 1);
}

static void odd_range(struct stage *stage, bool beyond)
{
	range(stage, STAGE_LOW, STAGE_LOW + (beyond ? 100 : 101));
	hold(stage, 90);
}

static void left_in_close_wait(struct stage *stage, bool beyond)
{
	enum { PAIRS = 60, FEW = 20 };
	for (unsigned i = 0; i < PAIRS; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&stage->how, &stage->to, stage->listener, &pair));
		must(lab_hold(&stage->fds, pair.client));
		if (!beyond && i >= FEW) {
			must(lab_hold(&stage->fds, pair.server));
			continue;
		}
		(void)close(pair.server);
		must(lab_wait_tcp_state(pair.client, TCP_CLOSE_WAIT, LAB_TIMEOUT_MS));
	}
}

static void few_buckets(struct stage *stage, bool beyond)
{
	set(stage, "ipv4/tcp_max_tw_buckets", "1000");
	end(stage, LAB_SERVER_FIRST, beyond ? 1001 : 990);
}

static void buckets_below_ports(struct stage *stage, bool beyond)
{
	set(stage, "ipv4/tcp_max_tw_buckets", "1000");
	end(stage, LAB_CLIENT_FIRST, beyond ? 500 : 499);
}

static void server_first(struct stage *stage, bool beyond)
{
	set(stage, "ipv4/tcp_max_tw_buckets", "1000");
	end(stage, beyond ? LAB_SERVER_FIRST : LAB_CLIENT_FIRST, 850);
}

static void reuse_alone(struct stage *stage, bool beyond)
{
	set(stage, "ipv4/tcp_tw_reuse", "1");
	set(stage, "ipv4/tcp_timestamps", beyond ? "0" : "1");
}

static void full_queue(struct stage *stage, bool beyond)
{
	/* the stage's backlog is 127: it holds one more */
	hold(stage, beyond ? 128 : 127);
}

static void fill_table(struct stage *stage, unsigned leave_percent)
{
	struct lp_error err = {0};
	struct lab_conntrack_fill fill = {.from = lab_addr("10.9.0.1", 2000),
	                                  .to = lab_addr("10.8.0.1", 443),
	                                  .ports = 30000};
	int64_t max = lab_conntrack_max(&err);
	assert_ok((int)(max < 0 ? max : 0), err);
	assert_ok(lab_nft_track(&stage->ns, &err), err);
	assert_ok(lab_conntrack_fill_up(&stage->ns, &fill, (uint32_t)(max * leave_percent / 100),
	                                &err),
	          err);
}

static void table_full(struct stage *stage, bool beyond)
{
	fill_table(stage, beyond ? 0 : 3);
}

static void table_near(struct stage *stage, bool beyond)
{
	fill_table(stage, beyond ? 10 : 25);
}

/* Entries of closed connections as a part of the table: to several destinations, or the port
 * search would take minutes. */
static void outlived(struct stage *stage, bool beyond)
{
	enum { DESTINATIONS = 9, EACH = 11000 };
	struct lp_error err = {0};
	assert_ok(lab_nft_track(&stage->ns, &err), err);
	if (!beyond)
		set(stage, "netfilter/nf_conntrack_tcp_timeout_time_wait", "60");
	for (uint16_t i = 0; i < DESTINATIONS; i++) {
		struct lab_addr at = lab_addr(STAGE_AT, (uint16_t)(STAGE_PORT + 1 + i));
		struct lab_how listen = {.ns = &stage->ns, .from = &at};
		_cleanup_(lp_close_fd) int listener = must(lab_listen(&listen, 128));
		must_count(lab_open_and_end(&stage->how, &at, listener, LAB_CLIENT_FIRST, EACH),
		           EACH);
	}
	fill_table(stage, 10);
}

/* A second client at the same port whose clock is behind, as behind a NAT. */
static void older_clock(struct stage *stage, bool beyond)
{
	enum { CLIENTS = 20, STAMP = 1000000 };
	struct lp_error err = {0};
	_cleanup_(lab_wire_done) struct lab_wire wire = LAB_WIRE_NONE;
	assert_ok(lab_wire_open(&stage->ns, "10.9.0.1/24", &wire, &err), err);
	for (uint16_t i = 0; i < CLIENTS; i++) {
		struct lab_talk talk = {.wire = &wire,
		                        .self = lab_addr("10.9.0.2", (uint16_t)(2000 + i)),
		                        .other = stage->to,
		                        .next = 1000,
		                        .stamped = true,
		                        .stamp = STAMP};
		must(lab_talk_connect(&talk));
		int server = must(lab_accept(stage->listener, LAB_TIMEOUT_MS));
		must(shutdown(server, SHUT_WR));
		must(lab_talk_wait(&talk, TH_FIN, TH_FIN, LAB_TIMEOUT_MS, NULL));
		must(lab_talk_send(&talk, TH_FIN | TH_ACK, NULL, 0));
		(void)close(server);
		must(lab_talk_wait(&talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, NULL));
		talk.next += 100000;
		talk.stamp = beyond ? STAMP - 1000 : STAMP + 1000;
		must(lab_talk_send(&talk, TH_SYN, NULL, 0));
		must(lab_talk_wait(&talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, NULL));
	}
}

static const struct scene {
	const char *id;
	void (*build)(struct stage *stage, bool beyond);
	int backlog;
} scenes[] = {
        {"local-ports-exhausted", ports_used_up, 4096},
        {"local-ports-near", ports_running_short, 4096},
        {"short-connections", short_ones, 4096},
        {"port-search-slow", half_a_pool, 4096},
        {"bind-before-connect", bound_first, 4096},
        {"range-overlaps-listener", wide_range, 4096},
        {"range-bounds-same-parity", odd_range, 4096},
        {"close-wait-leak", left_in_close_wait, 4096},
        {"time-wait-overflow", few_buckets, 4096},
        {"tw-buckets-lowered", buckets_below_ports, 4096},
        {"server-closes-first", server_first, 4096},
        {"tw-reuse-without-timestamps", reuse_alone, 4096},
        {"accept-queue-overflow", full_queue, 127},
        {"conntrack-full", table_full, 4096},
        {"conntrack-near", table_near, 4096},
        {"conntrack-outlives-time-wait", outlived, 4096},
        {"paws-behind-snat", older_clock, 4096},
};

static void check_scene(const struct scene *scene, bool beyond)
{
	struct stage stage;
	stage_make(&stage, 0, scene->backlog);
	scene->build(&stage, beyond);
	_cleanup_(answer_done) struct answer answer = ask_ns(&stage.ns);
	const json_t *finding = finding_of(&answer, scene->id, stage.ns.inode);
	if (beyond && !finding)
		fail_msg("%s is not found", scene->id);
	if (!beyond && finding)
		fail_msg("%s is found a step too early: %s", scene->id,
		         finding_text(finding, "summary"));
	if (beyond)
		note("%-28s %s", scene->id, finding_text(finding, "summary"));
	stage_done(&stage);
}

static void a_rule_is_found_beyond_and_not_before(void **state)
{
	const struct scene *scene = *state;
	check_scene(scene, false);
	check_scene(scene, true);
}

/* ---- what has no namespace ------------------------------------------------------------------- */

static void a_process_short_of_descriptors(void **state)
{
	(void)state;
	for (int percent = 75; percent <= 85; percent += 10) {
		_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
		must(lab_child_start(&child, stage_open_some, &percent));
		_cleanup_(answer_done) struct answer answer = ask_all();
		assert_int_equal(finding_of_process(&answer, "descriptors-near", child.pid) != NULL,
		                 percent > 80);
	}
}

static void a_client_out_of_ports(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_provoke_stop) struct lab_provoked provoked = {.child = LAB_CHILD_NONE};
	assert_ok(lab_provoke_start("client-ports", &provoked, &err), err);
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, provoked.netns);
	_cleanup_(answer_done) struct answer answer =
	        ask_raw("status", "--json", "--all", "--exact", "--netns", inode, NULL);
	const json_t *finding = finding_of(&answer, "client-ports-near", provoked.netns);
	assert_non_null(finding);
	assert_non_null(strstr(finding_text(finding, "summary"), "127.0.0.2"));

	struct stage stage;
	stage_make(&stage, 0, 4096);
	hold(&stage, 100);
	_cleanup_(answer_done) struct answer few = ask_ns(&stage.ns);
	assert_null(finding_of(&few, "client-ports-near", stage.ns.inode));
	stage_done(&stage);
}

/* With a configuration of its own, which nobody else sees. */
static int ask_with_configuration(void *data, int say)
{
	const char *text = data;
	struct lab_mounts mounts;
	(void)say;
	if (lab_private_mounts(&mounts, NULL) < 0 ||
	    mount("lab", "/etc/sysctl.d", "tmpfs", 0, NULL) < 0)
		return 100;
	FILE *conf = fopen("/etc/sysctl.d/10-test.conf", "w");
	if (!conf || fputs(text, conf) < 0 || fclose(conf) != 0)
		return 101;
	struct answer answer = ask_all();
	int found = 0;
	json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(answer.root, "findings"), i, finding)
	{
		const char *id = finding_text(finding, "id");
		found |= !strcmp(id, "myth-in-sysctl-config");
		found |= !strcmp(id, "sysctl-config-without-effect") << 1;
	}
	answer_done(&answer);
	return found;
}

static int found_with(const char *text)
{
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, ask_with_configuration, (void *)text));
	return lab_child_wait(&child);
}

static void configuration_on_disk(void **state)
{
	(void)state;
	assert_int_equal(found_with("# nothing\nvm.swappiness = 1\n"), 0);
	assert_int_equal(found_with("net.ipv4.tcp_fin_timeout = 60\n"), 0);
	assert_int_equal(found_with("net.ipv4.tcp_fin_timeout = 10\n"), 1);
	assert_int_equal(found_with("net.ipv4.tcp_tw_recycle = 1\n"), 1);
	char line[64], range[32];
	struct lp_error err = {0};
	assert_ok(lab_sysctl_get(NULL, &err, "ipv4/ip_local_port_range", range, sizeof(range)),
	          err);
	(void)snprintf(line, sizeof(line), "net.ipv4.ip_local_port_range = %s\n", range);
	assert_int_equal(found_with(line), 0);
	assert_int_equal(found_with("net.ipv4.ip_local_port_range = 20000 20001\n"), 2);
}

/* ---- a router -------------------------------------------------------------------------------- */

/* Translates to 1,000 ports; what it forwards gets no answer. */
static void router_make(struct lab_router *router)
{
	struct lp_error err = {0};
	*router = LAB_ROUTER_NONE;
	assert_ok(lab_ns_make(&router->client, &err), err);
	assert_ok(lab_ns_make(&router->router, &err), err);
	assert_ok(lab_ns_make(&router->server, &err), err);
	assert_ok(lab_router_join(router, &err), err);
	assert_ok(lab_router_translate(router, 2000, 2999, &err), err);
	assert_ok(lab_nft_drop(&router->server, 80, &err), err);
	assert_ok(lab_sysctl(&router->router, &err, "netfilter/nf_conntrack_tcp_timeout_syn_sent",
	                     "86400"),
	          err);
}

static void check_router(const struct lab_router *router, const char *id, bool wanted)
{
	_cleanup_(answer_done) struct answer answer = ask_ns(&router->router);
	const json_t *finding = finding_of(&answer, id, router->router.inode);
	if (wanted && finding)
		note("%-28s %s", id, finding_text(finding, "summary"));
	if (wanted != (finding != NULL))
		fail_msg("%s is %s", id, finding ? "found too early" : "not found");
}

static void nat_that_runs_out_of_ports(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_router_done) struct lab_router router;
	router_make(&router);
	uint16_t port = 30000;
	for (int i = 0; i < 700; i++)
		assert_ok(lab_router_try(&router, port++, 80, &err), err);
	check_router(&router, "snat-ports-near", false);
	for (int i = 0; i < 150; i++)
		assert_ok(lab_router_try(&router, port++, 80, &err), err);
	check_router(&router, "snat-ports-near", true);
	check_router(&router, "snat-ports-exhausted", false);
	for (unsigned in_a_row = 0; in_a_row < 5 && port < 35000;) {
		int r = lab_router_try(&router, port++, 80, &err);
		assert_ok(r, err);
		in_a_row = r ? 0 : in_a_row + 1;
	}
	check_router(&router, "snat-ports-exhausted", true);
	check_router(&router, "snat-ports-near", false);
}

/* ---- with the ledger ------------------------------------------------------------------------- */

enum {
	FOUND_BEFORE = 1 << 0,
	FOUND_REFUSED = 1 << 1,
	NOT_JUDGED_WITHOUT = 1 << 2,
	EXPLAINED_WITHOUT = 1 << 3,
	EXPLAINED_BEFORE = 1 << 4,
	EXPLAINED_REFUSED = 1 << 5,
};

/* Whether the explanation has the words. Of this namespace: others have the same addresses. */
static bool explained(const struct stage *stage, const char *what, const char *words)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&stage->ns));
	(void)home;
	_cleanup_(answer_done) struct answer answer =
	        ask_raw("explain", "--json", "--netns", "self", what, NULL);
	char *text = json_dumps(answer.root, 0);
	bool has = text && strstr(text, words);
	if (!has)
		note("explain %s: not \"%s\": %s", what, words, text ? text : answer.errors);
	free(text);
	return has;
}

/* By its destination, its error and its process; of others' errors it knows too. */
static bool explained_refused(const struct stage *stage)
{
	char pid[32];
	(void)snprintf(pid, sizeof(pid), "pid:%d", getpid());
	return explained(stage, STAGE_AT ":8080", "to " STAGE_AT ":8080 found no port, the last") &&
	       explained(stage, pid, "to " STAGE_AT ":8080 found no port, the last") &&
	       explained(stage, pid, "1 of its connects") &&
	       explained(stage, "EADDRNOTAVAIL", "found no port, the last");
}

static bool is_not_judged(const struct answer *answer, const char *id)
{
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "not_judged"), i, one)
	{
		if (!strcmp(finding_text(one, "id"), id))
			return true;
	}
	return false;
}

static bool ledger(const char *verb)
{
	_cleanup_(answer_done) struct answer answer = ask_raw("ledger", verb, NULL);
	return answer.status == 0;
}

/* With a BPF file system and so a ledger of its own. */
static int be_refused(void *data, int say)
{
	struct lab_mounts mounts;
	struct stage stage;
	int found = 0;
	(void)data;
	(void)say;
	if (lab_private_mounts(&mounts, NULL) < 0 || mount("lab", "/mnt", "bpf", 0, NULL) < 0 ||
	    setenv("LASTPORT_BPFFS", "/mnt", 1) < 0)
		return 100;
	stage_make(&stage, 0, 4096);
	range(&stage, STAGE_LOW, STAGE_LOW + 99);
	struct answer off = ask_ns(&stage.ns);
	found |= is_not_judged(&off, "connects-refused") ? NOT_JUDGED_WITHOUT : 0;
	answer_done(&off);
	found |= explained(&stage, "EADDRNOTAVAIL", "ledger is off") ? EXPLAINED_WITHOUT : 0;
	if (!ledger("on"))
		return 101;
	hold(&stage, 100);
	struct answer before = ask_ns(&stage.ns);
	found |= finding_of(&before, "connects-refused", stage.ns.inode) ? FOUND_BEFORE : 0;
	answer_done(&before);
	found |= explained(&stage, STAGE_AT ":8080", "No such connect was refused")
	                 ? EXPLAINED_BEFORE
	                 : 0;
	if (lab_connect(&stage.how, &stage.to) != -EADDRNOTAVAIL)
		return 102;
	struct answer after = ask_ns(&stage.ns);
	const json_t *finding = finding_of(&after, "connects-refused", stage.ns.inode);
	if (finding && strstr(finding_text(finding, "summary"), "1 connect to " STAGE_AT ":8080"))
		found |= FOUND_REFUSED;
	answer_done(&after);
	found |= explained_refused(&stage) ? EXPLAINED_REFUSED : 0;
	stage_done(&stage);
	return ledger("off") ? found : 103;
}

static void a_connect_that_found_no_port(void **state)
{
	(void)state;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, be_refused, NULL));
	assert_int_equal(lab_child_wait(&child), FOUND_REFUSED | NOT_JUDGED_WITHOUT |
	                                                 EXPLAINED_WITHOUT | EXPLAINED_BEFORE |
	                                                 EXPLAINED_REFUSED);
}

int main(void)
{
	enum { SCENES = sizeof(scenes) / sizeof(scenes[0]), OTHERS = 5 };
	struct CMUnitTest tests[SCENES + OTHERS] = {
	        cmocka_unit_test(a_process_short_of_descriptors),
	        cmocka_unit_test(a_client_out_of_ports),
	        cmocka_unit_test(configuration_on_disk),
	        cmocka_unit_test(nat_that_runs_out_of_ports),
	        cmocka_unit_test(a_connect_that_found_no_port),
	};
	for (size_t i = 0; i < SCENES; i++)
		tests[OTHERS + i] =
		        (struct CMUnitTest){.name = scenes[i].id,
		                            .test_func = a_rule_is_found_beyond_and_not_before,
		                            .initial_state = (void *)&scenes[i]};
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("findings", tests, SCENES + OTHERS, NULL, NULL);
}
