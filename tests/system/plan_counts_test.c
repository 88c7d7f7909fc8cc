/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a plan says of descriptors and of a listener's burst: at 0.97 of the highest rate a client
 * and a server have enough descriptors, at 1.03 they get EMFILE; a burst that fits is held to the
 * last connection, and the next one is not.
 */

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "base/clock.h"

enum {
	LIMIT = 1000, /* descriptors */
	HOLD_S = 3,
	CLIENTS = 4, /* addresses */
	PORT = 8000,
	MOST = 4096, /* connections that a process here may have open */
};

/* Connections that a process opens or accepts at a rate, each open for a time. */
struct traffic {
	const struct lab_ns *ns;
	double rate, hold_s;
	unsigned limit; /* descriptors */
	int listener;   /* -1: the client */
	int fds[MOST];
	int64_t close_ns[MOST];
	unsigned head, tail;
};

static void close_due(struct traffic *t, int64_t now_ns)
{
	for (; t->tail != t->head && t->close_ns[t->tail % MOST] <= now_ns; t->tail++)
		(void)close(t->fds[t->tail % MOST]);
}

/* When a connection is due: it is held from then on, however late it comes. */
static int64_t due(const struct traffic *t, unsigned n, int64_t start)
{
	return start + (int64_t)(n / t->rate * 1e9);
}

/* The next one; -EAGAIN: none yet. */
static int next_one(struct traffic *t, unsigned n, int64_t start, int64_t now)
{
	struct lab_addr to = lab_addr("127.0.0.1", PORT);
	char address[32];
	if (t->listener >= 0)
		return lab_accept(t->listener, 0);
	if (now < due(t, n, start))
		return -EAGAIN;
	(void)snprintf(address, sizeof(address), "127.0.0.%u", 2 + n % CLIENTS);
	struct lab_addr from = lab_addr(address, 0);
	return lab_connect(&(struct lab_how){.from = &from, .options = LAB_BIND_NO_PORT}, &to);
}

/* In a process of its own: exits with the errno that it got, 0: all went well for two holds. */
static int carry(void *data, int say)
{
	struct traffic *t = data;
	struct rlimit limit = {t->limit, t->limit};
	_cleanup_(lab_leave) int home = lab_enter(t->ns);
	if (home < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0 || write(say, "", 1) != 1)
		return 1;
	int64_t start = lp_clock_ns(), now = start;
	for (unsigned n = 0; now < start + 2 * HOLD_S * INT64_C(1000000000); now = lp_clock_ns()) {
		close_due(t, now);
		int fd = next_one(t, n, start, now);
		if (fd == -EAGAIN) {
			(void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
			continue;
		}
		if (fd < 0)
			return -fd;
		if (n == 0)
			start = now; /* the server's: its client's start */
		t->close_ns[t->head % MOST] = due(t, n++, start) + (int64_t)(t->hold_s * 1e9);
		t->fds[t->head++ % MOST] = fd;
	}
	return 0;
}

/* What the plan says in the namespace, to a process with so many descriptors. */
static json_t *ask_limited(const struct lab_ns *ns, struct answer *answer, const char *role,
                           const char *more)
{
	char hold[16];
	struct rlimit was;
	(void)snprintf(hold, sizeof(hold), "%ds", HOLD_S);
	must(getrlimit(RLIMIT_NOFILE, &was));
	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){LIMIT, was.rlim_max}));
	int home = must(lab_enter(ns));
	*answer = ask_raw("plan", "--json", "--hold", hold, "--sources=4", "--closer=server",
	                  "--role", role, more, NULL);
	lab_leave(&home);
	must(setrlimit(RLIMIT_NOFILE, &was));
	if (!answer->root)
		fail_msg("no plan: %s", answer->errors);
	return answer->root;
}

/* One of the two has few descriptors. */
static int errno_of(const char *role, double rate)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	struct traffic *few = calloc(1, sizeof(*few)), *many = calloc(1, sizeof(*many));
	assert_true(few && many);
	assert_ok(lab_ns_make(&ns, &err), err);
	struct lab_addr at = lab_addr("127.0.0.1", PORT);
	struct lab_how how = {.ns = &ns, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, MOST));
	bool server = !strcmp(role, "server");
	*few = (struct traffic){.ns = &ns, .rate = rate, .hold_s = HOLD_S, .limit = LIMIT};
	*many = *few;
	many->limit = MOST;
	few->listener = server ? listener : -1;
	many->listener = server ? -1 : listener;
	struct lab_child one = LAB_CHILD_NONE, other = LAB_CHILD_NONE;
	must(lab_child_start(&one, carry, few));
	must(lab_child_start(&other, carry, many));
	int error = must(lab_child_wait(&one));
	lab_child_stop(&other);
	free(few);
	free(many);
	lab_ns_done(&ns);
	return error;
}

static void check_descriptors(const char *role)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	struct answer answer;
	assert_ok(lab_ns_make(&ns, &err), err);
	json_t *plan = ask_limited(&ns, &answer, role, NULL);
	double highest = json_number_value(json_object_get(plan, "highest"));
	assert_string_equal(json_string_value(json_object_get(plan, "first")), "file-descriptors");
	answer_done(&answer);
	lab_ns_done(&ns);
	int below = errno_of(role, highest * 0.97), above = errno_of(role, highest * 1.03);
	note("%s: %d descriptors carry %.1f/s: below it %s, above it %s", role, LIMIT, highest,
	     strerror(below), strerror(above));
	assert_int_equal(below, 0);
	assert_int_equal(above, EMFILE);
}

static void a_client_has_so_many_descriptors(void **state)
{
	(void)state;
	check_descriptors("client");
}

static void a_server_has_so_many_descriptors(void **state)
{
	(void)state;
	check_descriptors("server");
}

/* ---- the accept queue -------------------------------------------------------------------------
 */

static bool plan_carries(const struct lab_ns *ns, unsigned burst)
{
	struct answer answer;
	char option[32];
	(void)snprintf(option, sizeof(option), "--burst=%u", burst);
	(void)ask_limited(ns, &answer, "server", option);
	bool carries = answer.status == 0;
	answer_done(&answer);
	return carries;
}

static void a_burst_fits_to_the_last(void **state)
{
	(void)state;
	enum { QUEUE = 150, SILENT_MS = 300 };
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_sysctl(&ns, &err, "core/somaxconn", "%d", QUEUE), err);
	struct lab_addr at = lab_addr("127.0.0.1", PORT);
	struct lab_how how = {.ns = &ns, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, MOST));
	(void)listener;
	unsigned fits = 1;
	while (fits < MOST && plan_carries(&ns, fits * 2))
		fits *= 2;
	for (unsigned step = fits; step; step /= 2)
		if (plan_carries(&ns, fits + step))
			fits += step;
	how = (struct lab_how){.ns = &ns, .timeout_ms = SILENT_MS};
	must_count(lab_connect_many(&how, &at, fits, &fds), fits);
	struct lab_count more = lab_connect_many(&how, &at, 1, &fds);
	note("a burst of %u fits, says the plan; of one more %u connected: %s", fits, more.n,
	     strerror(more.error));
	assert_int_equal(more.error, ETIMEDOUT);
	lab_ns_done(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_client_has_so_many_descriptors),
	        cmocka_unit_test(a_server_has_so_many_descriptors),
	        cmocka_unit_test(a_burst_fits_to_the_last),
	};
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan counts", tests, NULL, NULL);
}
