/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Real programs: nginx as a proxy without keep-alive to its upstream, loaded by wrk. What lastport
 * says of it is counted by hand with ss, once the load has stopped.
 */

#include "site.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "ask.h"
#include "base/clock.h"

enum { DESCRIPTORS = 5000, WAITING = 7 };

static int setup(void **state)
{
	static struct site site;
	*state = &site;
	struct rlimit limit = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
	must(setrlimit(RLIMIT_NOFILE, &limit));
	site_make(&site, SITE_SHORT);
	return 0;
}

static int teardown(void **state)
{
	site_done(*state);
	return 0;
}

static unsigned count_lines(const char *text, const char *with)
{
	unsigned n = 0;
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');
		n += memmem(line, (size_t)(end - line), with, strlen(with)) != NULL;
		line = *end ? end + 1 : end;
	}
	return n;
}

/* What the proxy's connections are listed by: those to the upstream, those of its clients. */
static const char *const to_upstream[] = {"ss", "-Htan", "dst", SITE_UPSTREAM, NULL};
static const char *const of_clients[] = {"ss",    "-Htan", "state", "connected",
                                         "sport", "=",     ":8000", NULL};

/* By hand: these connections, in any state. */
static unsigned ss_count(const struct site *site, const char *const these[])
{
	_cleanup_(lp_free_ptr) char *text = site_output(&site->proxy, these);
	return count_lines(text, "");
}

static unsigned under_way(const struct site *site, const char *const these[])
{
	_cleanup_(lp_free_ptr) char *text = site_output(&site->proxy, these);
	return count_lines(text, "") - count_lines(text, "TIME-WAIT");
}

/* Until none of these is under way any more. */
static void wait_quiet(const struct site *site, const char *const these[])
{
	int64_t deadline = lp_clock_ns() + INT64_C(20000000000);
	while (under_way(site, these) && lp_clock_ns() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(under_way(site, these), 0);
}

static void the_pool_is_named(void **state)
{
	const struct site *site = *state;
	static const char *const wrk[] = {
	        "wrk", "-t1", "-c8", "-d1s", "http://" SITE_PROXY ":8000/", NULL};
	free(site_output(&site->load, wrk));
	wait_quiet(site, to_upstream);
	unsigned counted = ss_count(site, to_upstream);
	assert_true(counted > 100);

	_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
	assert_int_equal(ss_count(site, to_upstream), counted); /* it was quiet meanwhile */
	const json_t *pool =
	        limit_must(&answer, "local-ports", site->proxy.inode,
	                   json_pack("{s:s,s:s,s:i}", "local", "10.1.0.1", "remote", SITE_UPSTREAM,
	                             "remote_port", SITE_UPSTREAM_PORT));
	note("%u TIME_WAITs to the upstream", counted);
	assert_int_equal(limit_figure(pool, "used"), counted);
	assert_int_equal(limit_figure(pool, "capacity"), 28232);
	json_t *of_states = json_object_get(pool, "states");
	assert_int_equal(json_integer_value(json_object_get(of_states, "time_wait")), counted);
	/* The nearest to exhaustion comes first; what is of the whole machine is left out here. */
	json_t *limits = json_object_get(answer.root, "limits");
	size_t first = 0;
	while (!json_object_get(json_array_get(limits, first), "netns"))
		first++;
	assert_ptr_equal(json_array_get(limits, first), pool);
}

/* The same in what people see. */
static void people_see_it_first(void **state)
{
	const struct site *site = *state;
	const char *argv[] = {getenv("LASTPORT"), "--exact", "--netns", "self", NULL};
	_cleanup_(lp_free_ptr) char *text = site_output(&site->proxy, argv);
	const char *row = strstr(text, "local ports");
	assert_non_null(row);
	assert_non_null(strstr(text, "10.1.0.1"));
	const char *upstream = strstr(text, SITE_UPSTREAM ":8080");
	assert_non_null(upstream);
	assert_true(count_lines(text, "local ports") >= 1 && upstream > row);
}

static unsigned count_descriptors(pid_t pid)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	unsigned n = 0;
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2; /* "." and ".." */
}

static void descriptors(void **state)
{
	const struct site *site = *state;
	int pid = site->proxy_server.pid;
	_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
	const json_t *limit =
	        limit_must(&answer, "file-descriptors", 0, json_pack("{s:i}", "pid", pid));
	const json_t *scope = json_object_get(limit, "scope");
	assert_string_equal(json_string_value(json_object_get(scope, "command")), "nginx");
	assert_int_equal(limit_figure(limit, "used"), count_descriptors(pid));
	assert_int_equal(limit_figure(limit, "capacity"), DESCRIPTORS);
}

/* With nginx stopped, connections wait. By hand: Recv-Q and Send-Q of the listener. */
static void accept_queue(void **state)
{
	const struct site *site = *state;
	struct lab_addr to = lab_addr(SITE_PROXY, SITE_PROXY_PORT);
	struct lab_how how = {.ns = &site->load};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	must(kill(site->proxy_server.pid, SIGSTOP));
	must_count(lab_connect_many(&how, &to, WAITING, &fds), WAITING);

	static const char *const ss[] = {"ss", "-Htln", "sport", "=", ":8000", NULL};
	_cleanup_(lp_free_ptr) char *text = site_output(&site->proxy, ss);
	unsigned waiting = 0, backlog = 0;
	assert_int_equal(sscanf(text, "LISTEN %u %u", &waiting, &backlog), 2);
	assert_int_equal(waiting, WAITING);
	assert_int_equal(backlog, 100);
	_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
	const json_t *limit = limit_must(
	        &answer, "accept-queue", site->proxy.inode,
	        json_pack("{s:s,s:i}", "listener", SITE_PROXY, "listener_port", SITE_PROXY_PORT));
	assert_int_equal(limit_figure(limit, "used"), waiting);
	assert_int_equal(limit_figure(limit, "capacity"), backlog + 1);
	must(kill(site->proxy_server.pid, SIGCONT));
}

/* What the proxy's clients hold at its listener, once those of other tests have gone. */
static void clients_of_the_proxy(void **state)
{
	const struct site *site = *state;
	struct lab_addr to = lab_addr(SITE_PROXY, SITE_PROXY_PORT);
	struct lab_how how = {.ns = &site->load};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	wait_quiet(site, of_clients);
	must_count(lab_connect_many(&how, &to, 12, &fds), 12);
	_cleanup_(answer_done) struct answer answer = ask_ns(&site->proxy);
	const json_t *limit =
	        limit_must(&answer, "client-ports", site->proxy.inode,
	                   json_pack("{s:s,s:s}", "listener", SITE_PROXY, "client", "10.2.0.1"));
	assert_int_equal(limit_figure(limit, "used"), 12);
	assert_int_equal(under_way(site, of_clients), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_pool_is_named),    cmocka_unit_test(people_see_it_first),
	        cmocka_unit_test(descriptors),          cmocka_unit_test(accept_queue),
	        cmocka_unit_test(clients_of_the_proxy),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!site_is_possible()) {
		(void)printf("1..0 # SKIP nginx, wrk or ss is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests_name("proxy", tests, setup, teardown);
}
