/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a remedy says that it will do, it does: each is taken from the command's answer, applied in
 * the namespace, and what then happens is within a tenth of the prediction.
 */

#include "finding.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/conntrack.h"
#include "lab/pace.h"
#include "site.h"
#include "stage.h"

/* A listener at the next port, which is to be reached from anew. */
static int listen_beside(const struct stage *stage, int backlog, struct lab_addr *ret)
{
	*ret = lab_addr(STAGE_AT, STAGE_PORT + 1);
	struct lab_how how = {.ns = &stage->ns, .from = ret};
	return must(lab_listen(&how, backlog));
}

/* Applies a step "sysctl -w net.A.B="VALUE"" in the namespace. */
static void apply(const struct lab_ns *ns, const char *step)
{
	struct lp_error err = {0};
	char key[128], value[64];
	assert_non_null(step);
	assert_int_equal(sscanf(step, "sysctl -w net.%127[^=]=%63[^\n]", key, value), 2);
	for (char *c = key; *c; c++)
		if (*c == '.')
			*c = '/';
	char *begin = value + (*value == '"');
	begin[strcspn(begin, "\"")] = '\0';
	note("%s = %s", key, begin);
	assert_ok(lab_sysctl(ns, &err, key, "%s", begin), err);
}

static void happens(const char *what, double predicted, double measured)
{
	note("%s: predicted %.1f, measured %.1f", what, predicted, measured);
	assert_true(predicted > 0);
	if (fabs(measured - predicted) > predicted / 10)
		fail_msg("%s: %.1f was predicted, and %.1f happens", what, predicted, measured);
}

/* What the command predicts of the namespace. */
static double predicted(const struct stage *stage, const char *id, const char *remedy,
                        const char *figure, const char *word, char *step, size_t size)
{
	_cleanup_(answer_done) struct answer answer = ask_ns(&stage->ns);
	const json_t *finding = finding_with_remedies(&answer, id, stage->ns.inode);
	if (!finding)
		fail_msg("%s is not found", id);
	if (word) {
		const char *found = finding_step(finding, remedy, word);
		(void)snprintf(step, size, "%s", found ? found : "");
	}
	return finding_predicts(finding, remedy, figure);
}

static void a_second_address(void **state)
{
	(void)state;
	enum { PORTS = 100 };
	struct stage stage;
	struct lp_error err = {0};
	stage_make(&stage, PORTS, 4096);
	must_count(lab_connect_many(&stage.how, &stage.to, PORTS, &stage.fds), PORTS);
	double ports = predicted(&stage, "local-ports-exhausted", "second", "ports", NULL, NULL, 0);
	struct lab_addr second = lab_addr("10.0.0.2", 0);
	assert_ok(lab_address(&stage.ns, "lo", "10.0.0.2", &err), err);
	stage.how.from = &second;
	stage.how.options = LAB_BIND_NO_PORT;
	unsigned more = lab_connect_many(&stage.how, &stage.to, 2 * PORTS, &stage.fds).n;
	happens("ports", ports, PORTS + more);
	stage.how.from = NULL;
	stage_done(&stage);
}

static void a_wider_range(void **state)
{
	(void)state;
	enum { PORTS = 1000 };
	struct stage stage;
	char step[128];
	struct lp_error err = {0};
	stage_make(&stage, PORTS, 4096);
	/* beside the range: they are in the way of the wider one only */
	assert_ok(lab_sysctl(&stage.ns, &err, "ipv4/ip_local_reserved_ports", "12000-24999"), err);
	must_count(lab_open_and_end(&stage.how, &stage.to, stage.listener, LAB_CLIENT_FIRST, 900),
	           900);
	double ports = predicted(&stage, "short-connections", "Widen", "ports", "sysctl -w", step,
	                         sizeof(step));
	apply(&stage.ns, step);
	struct lab_addr to;
	_cleanup_(lp_close_fd) int listener = listen_beside(&stage, 4096, &to);
	/* with the range named on the socket the search is quick, and the ports are the same */
	stage.how.ports = lab_ports(1, 65535);
	struct lab_count count =
	        lab_open_and_end(&stage.how, &to, listener, LAB_CLIENT_FIRST, 65535);
	assert_int_equal(count.error, EADDRNOTAVAIL);
	happens("ports", ports, count.n);
	stage_done(&stage);
}

static void time_wait_taken_again(void **state)
{
	(void)state;
	enum { PORTS = 100, SECONDS = 4 };
	struct stage stage;
	char step[128];
	stage_make(&stage, PORTS, 4096);
	must_count(lab_open_and_end(&stage.how, &stage.to, stage.listener, LAB_CLIENT_FIRST, 90),
	           90);
	double opens = predicted(&stage, "short-connections", "TIME_WAITs again",
	                         "opens/s that last", "tcp_tw_reuse", step, sizeof(step));
	apply(&stage.ns, step);
	/* as fast as it goes, after a second in which what was there is taken */
	unsigned n = 0;
	int64_t begin = lp_clock_ns(), warm = begin + 1000000000, now;
	while ((now = lp_clock_ns()) < warm + SECONDS * INT64_C(1000000000)) {
		unsigned one =
		        lab_open_and_end(&stage.how, &stage.to, stage.listener, LAB_CLIENT_FIRST, 1)
		                .n;
		n += now >= warm ? one : 0;
		if (!one)
			(void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
	happens("opens/s that last", opens, (double)n / SECONDS);
	stage_done(&stage);
}

static void bind_without_a_port(void **state)
{
	(void)state;
	enum { PORTS = 500, EACH = 210 };
	struct stage stage;
	struct lab_addr second, any = lab_addr(STAGE_AT, 0);
	stage_make(&stage, PORTS, 4096);
	_cleanup_(lp_close_fd) _unused_ int listener = listen_beside(&stage, 4096, &second);
	stage.how.from = &any;
	must_count(lab_connect_many(&stage.how, &stage.to, EACH, &stage.fds), EACH);
	must_count(lab_connect_many(&stage.how, &second, EACH, &stage.fds), EACH);
	double ports = predicted(&stage, "bind-before-connect", "without a port",
	                         "ports for each destination", NULL, NULL, 0);
	stage.how.from = NULL;
	stage_done(&stage);

	/* the program does so from its next start on */
	stage_make(&stage, PORTS, 4096);
	int beside = listen_beside(&stage, 4096, &second);
	stage.how.from = &any;
	stage.how.options = LAB_BIND_NO_PORT;
	for (int i = 0; i < 2; i++)
		happens("ports for each destination", ports,
		        lab_connect_many(&stage.how, i ? &second : &stage.to, 2 * PORTS, &stage.fds)
		                .n);
	stage.how.from = NULL;
	(void)close(beside);
	stage_done(&stage);
}

/* What the table holds of closed connections is how long it keeps them, at any rate. */
static void conntrack_forgets_sooner(void **state)
{
	(void)state;
	enum { DESTINATIONS = 9, EACH = 11000 };
	struct stage stage;
	struct lp_error err = {0};
	char step[128];
	stage_make(&stage, 25000, 4096);
	assert_ok(lab_nft_track(&stage.ns, &err), err);
	for (uint16_t i = 0; i < DESTINATIONS; i++) {
		struct lab_addr at = lab_addr(STAGE_AT, (uint16_t)(STAGE_PORT + 1 + i));
		struct lab_how listen = {.ns = &stage.ns, .from = &at};
		_cleanup_(lp_close_fd) int listener = must(lab_listen(&listen, 128));
		must_count(lab_open_and_end(&stage.how, &at, listener, LAB_CLIENT_FIRST, EACH),
		           EACH);
	}
	struct lab_conntrack_fill fill = {.from = lab_addr("10.9.0.1", 2000),
	                                  .to = lab_addr("10.8.0.1", 443),
	                                  .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&stage.ns, &fill, 20000, &err), err);
	double used = (double)lab_conntrack_count(&stage.ns, &err);
	double then = predicted(&stage, "conntrack-outlives-time-wait", "sooner", "entries in use",
	                        "timeout_time_wait", step, sizeof(step));
	apply(&stage.ns, step);
	struct lab_addr client = lab_addr(STAGE_AT, 0);
	struct lab_pair pair = LAB_PAIR_NONE;
	struct lab_conntrack entry;
	must(lab_pair_open(&stage.how, &stage.to, stage.listener, &pair));
	client = lab_addr_local(pair.client);
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	assert_ok(lab_conntrack_find(&stage.ns, &client, &stage.to, &entry, &err), err);
	double closed = DESTINATIONS * EACH;
	happens("entries in use", then, used - closed + closed * entry.left_s / 120);
	stage_done(&stage);
}

static void a_longer_queue(void **state)
{
	(void)state;
	enum { BACKLOG = 127 };
	struct stage stage;
	char step[128];
	stage_make(&stage, 20000, BACKLOG);
	must_count(lab_connect_many(&stage.how, &stage.to, BACKLOG + 1, &stage.fds), BACKLOG + 1);
	double wait = predicted(&stage, "accept-queue-overflow", "more connections wait",
	                        "connections that may wait", "backlog", step, sizeof(step));
	const char *number = strpbrk(step, "0123456789");
	assert_non_null(number);
	struct lab_addr to;
	_cleanup_(lp_close_fd) _unused_ int listener =
	        listen_beside(&stage, (int)strtol(number, NULL, 10), &to);
	stage.how.timeout_ms = 300;
	struct lab_count count = lab_connect_many(&stage.how, &to, 10000, &stage.fds);
	assert_int_equal(count.error, ETIMEDOUT);
	happens("connections that may wait", wait, count.n);
	stage_done(&stage);
}

/* ---- from outside ---------------------------------------------------------------------------- */

/* As it is printed: the soft limit becomes what it says, and the hard one is not lowered. */
static void more_descriptors_are_allowed_as_advised(void **state)
{
	(void)state;
	int percent = 85;
	char pid[32];
	const struct rlimit roomy = {256, 131072}; /* a hard limit above what is advised */
	struct rlimit before, after;
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, stage_open_some, &percent));
	if (prlimit(child.pid, RLIMIT_NOFILE, &roomy, NULL) < 0)
		note("the hard limit stays: %s", strerror(errno)); /* CAP_SYS_RESOURCE */
	must(prlimit(child.pid, RLIMIT_NOFILE, NULL, &before));
	(void)snprintf(pid, sizeof(pid), "--pid %d", child.pid);
	_cleanup_(answer_done) struct answer answer = ask_all();
	const json_t *finding = finding_of_process(&answer, "descriptors-near", child.pid);
	assert_non_null(finding);
	double then = finding_predicts(finding, "descriptors", "descriptors");
	const char *step = finding_step(finding, "descriptors", pid);
	assert_non_null(step);
	const char *const sh[] = {"sh", "-c", strstr(step, "prlimit"), NULL};
	struct lab_output out;
	assert_int_equal(lab_run(sh, LAB_TIMEOUT_MS, &out, NULL), 0);
	lab_output_done(&out);
	must(prlimit(child.pid, RLIMIT_NOFILE, NULL, &after));
	assert_true((double)after.rlim_cur == then && after.rlim_cur > before.rlim_cur);
	assert_true(then <= (double)before.rlim_max);
	assert_int_equal(after.rlim_max, before.rlim_max);
}

static int stay_inside(void *data, int say)
{
	const struct lab_ns *ns = data;
	int home = lab_enter(ns);
	if (home < 0)
		return 1;
	lab_child_ready(say);
}

/* Of the namespace: "40000 40099". */
static void range_of(const struct lab_ns *ns, char *buf, size_t size)
{
	struct lp_error err = {0};
	assert_ok(lab_sysctl_get(ns, &err, "ipv4/ip_local_port_range", buf, size), err);
}

/* What is advised to who asks from outside is run there as it is printed, and changes nothing
 * there. */
static void advice_reaches_the_namespace(void **state)
{
	(void)state;
	struct stage stage;
	struct lp_error err = {0};
	char inode[32], outside[64], then[64];
	_cleanup_(lab_ns_done) struct lab_ns outer = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	stage_make(&stage, 100, 4096);
	must(lab_child_start(&child, stay_inside, &stage.ns));
	must_count(lab_connect_many(&stage.how, &stage.to, 100, &stage.fds), 100);
	assert_ok(lab_ns_make(&outer, &err), err);
	range_of(&outer, outside, sizeof(outside));
	_cleanup_(lab_leave) int home = must(lab_enter(&outer));
	(void)home;
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, stage.ns.inode);
	_cleanup_(answer_done) struct answer answer =
	        ask_raw("status", "--json", "--all", "--exact", "--netns", inode, NULL);
	const json_t *finding = finding_of(&answer, "local-ports-exhausted", stage.ns.inode);
	assert_non_null(finding);
	const char *step = finding_step(finding, "Widen", "sysctl -w");
	assert_non_null(step);
	note("%s", step);
	const char *const sh[] = {"sh", "-c", step, NULL};
	struct lab_output out;
	assert_int_equal(lab_run(sh, LAB_TIMEOUT_MS, &out, NULL), 0);
	lab_output_done(&out);
	range_of(&outer, then, sizeof(then));
	assert_string_equal(then, outside);
	range_of(&stage.ns, then, sizeof(then));
	assert_non_null(strstr(step, strtok(then, "\t\n ")));
	assert_true(strtol(then, NULL, 10) < STAGE_LOW);
	stage_done(&stage);
}

/* ---- nginx ---------------------------------------------------------------------------------- */

#define KEEPING                                                                         \
	"upstream app { server " SITE_UPSTREAM ":8080; keepalive 64;\n"                 \
	"keepalive_requests %d; }\n"                                                    \
	"server { listen " SITE_PROXY ":8000 backlog=511; keepalive_requests 100000;\n" \
	"location / { proxy_pass http://app;\n"                                         \
	"proxy_http_version 1.1; proxy_set_header Connection \"\"; } }\n"

static const char *keeping(int requests, char *buf, size_t size)
{
	(void)snprintf(buf, size, KEEPING, requests);
	return buf;
}

/* One request on a connection of its own, read to the end. */
static void request(const struct site *site)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct lab_addr to = lab_addr(SITE_PROXY, SITE_PROXY_PORT);
	struct lab_how how = {.ns = &site->load};
	char answer[1024];
	_cleanup_(lp_close_fd) int fd = must(lab_connect(&how, &to));
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	size_t length = 0;
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		assert_int_equal(poll(&wait, 1, LAB_TIMEOUT_MS), 1);
		ssize_t n = recv(fd, answer + length, sizeof(answer) - length, 0);
		assert_true(n >= 0);
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (length < 12 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
		fail_msg("the proxy said %.*s", (int)length, answer);
}

/* So many requests at a steady rate: how many connections the upstream got for them. A machine
 * that is busy with others may take longer: *seconds. */
static double load(const struct site *site, unsigned n, double per_s, double *seconds)
{
	int64_t begin = lp_clock_ns();
	int64_t before = lab_counter(&site->upstream, "Tcp", "PassiveOpens");
	struct lab_pace pace = lab_pace(per_s);
	for (unsigned i = 0; i < n; i++) {
		(void)lab_pace_wait(&pace);
		request(site);
	}
	*seconds = (double)(lp_clock_ns() - begin) / 1e9;
	return (double)(lab_counter(&site->upstream, "Tcp", "PassiveOpens") - before);
}

static void nginx_keeps_connections(void **state)
{
	enum { PORTS = 3000, REQUESTS = 2600, PER_S = 1000 };
	struct site *site = *state;
	struct lp_error err = {0};
	char blocks[1024];
	assert_ok(lab_sysctl(&site->proxy, &err, "ipv4/ip_local_port_range", "%d %d", STAGE_LOW,
	                     STAGE_LOW + PORTS - 1),
	          err);
	site_change_proxy(site, SITE_SHORT);
	double seconds, later;
	assert_true(load(site, REQUESTS, PER_S, &seconds) == REQUESTS);
	_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
	const json_t *finding = finding_of(&answer, "short-connections", site->proxy.inode);
	assert_non_null(finding);
	double time_wait = finding_predicts(finding, "reuse", "TIME_WAIT");
	double opens = finding_predicts(finding, "reuse", "opens/s");
	site_change_proxy(site, keeping(100, blocks, sizeof(blocks)));
	double made = load(site, REQUESTS, PER_S, &later);
	/* each connection leaves one TIME_WAIT */
	happens("TIME_WAIT", time_wait, made);
	/* at the rate that there was before */
	happens("opens/s", opens, made / seconds);
}

/* While it has connections, it is known whose they are. */
static void nginx_is_told_in_its_own_words(void **state)
{
	enum { PORTS = 5000 };
	struct site *site = *state;
	static const char *const wrk[] = {
	        "wrk", "-t1", "-c150", "-d100s", "http://" SITE_PROXY ":8000/slow", NULL};
	struct lp_error err = {0};
	assert_ok(lab_sysctl(&site->proxy, &err, "ipv4/ip_local_port_range", "%d %d", STAGE_LOW,
	                     STAGE_LOW + PORTS - 1),
	          err);
	site_change_proxy(site, SITE_SHORT);
	_cleanup_(lab_child_stop) struct lab_child client = LAB_CHILD_NONE;
	int home = must(lab_enter(&site->load));
	int r = lab_spawn(&client, wrk);
	lab_leave(&home);
	must(r);
	bool told = false;
	for (int tries = 0; tries < 350 && !told; tries++) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
		_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
		const json_t *finding = finding_of(&answer, "short-connections", site->proxy.inode);
		told = finding && strstr(finding_text(finding, "summary"), "nginx (") &&
		       finding_step(finding, "reuse", "nginx: In the upstream block: keepalive");
		if (told)
			note("%s", finding_text(finding, "summary"));
	}
	assert_true(told);
}

/* Nothing is wrong with a busy proxy that keeps its connections. */
static void a_busy_proxy_in_health(void **state)
{
	struct site *site = *state;
	static const char *const wrk[] = {
	        "wrk", "-t1", "-c64", "-d3s", "http://" SITE_PROXY ":8000/", NULL};
	char blocks[1024];
	site_change_proxy(site, keeping(100000, blocks, sizeof(blocks)));
	struct lab_child client = LAB_CHILD_NONE;
	int home = must(lab_enter(&site->load));
	int r = lab_spawn(&client, wrk);
	lab_leave(&home);
	must(r);
	const struct lab_ns *places[] = {&site->proxy, &site->upstream, &site->load};
	int64_t before = lab_counter(&site->upstream, "Tcp", "InSegs");
	for (size_t i = 0; i < 6; i++) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
		_cleanup_(answer_done) struct answer answer = ask_ns(places[i % 3]);
		assert_int_equal(finding_count(&answer, places[i % 3]->inode), 0);
	}
	assert_true(lab_counter(&site->upstream, "Tcp", "InSegs") - before > 1000);
	assert_int_equal(lab_child_wait(&client), 0);
}

static int setup(void **state)
{
	static struct site site;
	char blocks[1024];
	*state = &site;
	site_make(&site, keeping(100000, blocks, sizeof(blocks)));
	return 0;
}

static int teardown(void **state)
{
	site_done(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_busy_proxy_in_health),
	        cmocka_unit_test(nginx_keeps_connections),
	        cmocka_unit_test(nginx_is_told_in_its_own_words),
	        cmocka_unit_test(a_second_address),
	        cmocka_unit_test(a_wider_range),
	        cmocka_unit_test(time_wait_taken_again),
	        cmocka_unit_test(bind_without_a_port),
	        cmocka_unit_test(conntrack_forgets_sooner),
	        cmocka_unit_test(a_longer_queue),
	        cmocka_unit_test(more_descriptors_are_allowed_as_advised),
	        cmocka_unit_test(advice_reaches_the_namespace),
	};
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!site_is_possible()) {
		(void)printf("1..0 # SKIP nginx, wrk or ss is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests_name("remedies", tests, setup, teardown);
}
