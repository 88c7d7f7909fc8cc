/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

enum {
	FIRST_PORT = 20000,
	HELD = 2048, /* connections that are open at a time, at most */
	PORT = 8000,
};

/* ---- the worlds --------------------------------------------------------------------------------
 */

static void set_up_router(struct run *run)
{
	struct lp_error err = {0};
	struct lab_router *router = &run->router;
	assert_ok(lab_ns_make(&router->client, &err), err);
	assert_ok(lab_ns_make(&router->router, &err), err);
	assert_ok(lab_ns_make(&router->server, &err), err);
	assert_ok(lab_router_join(router, &err), err);
	assert_ok(lab_router_translate(router, FIRST_PORT,
	                               (uint16_t)(FIRST_PORT + run->course->ports - 1), &err),
	          err);
	assert_ok(lab_sysctl(&router->router, &err, "netfilter/nf_conntrack_tcp_timeout_time_wait",
	                     "%u", run->course->closing_s),
	          err);
	run->to[0] = lab_addr(LAB_ROUTER_SERVER, PORT);
	run->listeners[0] = must(
	        lab_listen(&(struct lab_how){.ns = &router->server, .from = &run->to[0]}, 100));
}

static void set_up_plain(struct run *run)
{
	const struct course *c = run->course;
	struct lp_error err = {0};
	assert_ok(lab_ns_make(&run->ns, &err), err);
	assert_ok(lab_sysctl(&run->ns, &err, "ipv4/ip_local_port_range", "%u %u", FIRST_PORT,
	                     FIRST_PORT + c->ports - 1),
	          err);
	assert_ok(lab_sysctl(&run->ns, &err, "ipv4/tcp_tw_reuse", "%u", c->reuse_delay_ms ? 1 : 0),
	          err);
	if (c->reuse_delay_ms)
		assert_ok(lab_sysctl(&run->ns, &err, "ipv4/tcp_tw_reuse_delay", "%u",
		                     c->reuse_delay_ms),
		          err);
	if (c->buckets)
		assert_ok(lab_sysctl(&run->ns, &err, "ipv4/tcp_max_tw_buckets", "%u", c->buckets),
		          err);
	for (unsigned i = 0; i < c->sources; i++) {
		char address[32];
		(void)snprintf(address, sizeof(address), "127.0.0.%u", i + 2);
		run->from[i] = lab_addr(address, 0);
	}
	for (unsigned i = 0; i < c->destinations; i++) {
		run->to[i] = lab_addr("127.0.0.1", (uint16_t)(PORT + i));
		run->listeners[i] = must(
		        lab_listen(&(struct lab_how){.ns = &run->ns, .from = &run->to[i]}, 100));
	}
}

/* ---- what the plan says ------------------------------------------------------------------------
 */

static double real_of(const json_t *plan, const char *name)
{
	const json_t *value = json_object_get(plan, name);
	if (!json_is_number(value))
		fail_msg("a plan without %s", name);
	return json_number_value(value);
}

static const char *closer_of(const struct course *c)
{
	return c->end == LAB_TOGETHER ? "both" : c->end == LAB_SERVER_FIRST ? "server" : "client";
}

/* Asked where it happens. rate 0: for the highest. */
static struct answer ask_plan(const struct run *run, double rate)
{
	const struct course *c = run->course;
	char hold[32], sources[32], destinations[32], per_s[32], nat[32];
	(void)snprintf(nat, sizeof(nat), "%u-%u", FIRST_PORT, FIRST_PORT + c->ports - 1);
	(void)snprintf(hold, sizeof(hold), "%ums", c->hold_ms);
	(void)snprintf(sources, sizeof(sources), "%u", c->sources);
	(void)snprintf(destinations, sizeof(destinations), "%u", c->destinations);
	(void)snprintf(per_s, sizeof(per_s), "--rate=%.6f", rate);
	_cleanup_(lab_leave) int home = lab_enter(c->closing_s ? &run->router.router : &run->ns);
	must(home);
	const char *rated = rate > 0 ? per_s : "--json";
	if (c->closing_s)
		return ask_raw("plan", "--json", rated, "--hold", hold, "--nat", "--nat-ports", nat,
		               NULL);
	return ask_raw("plan", "--json", rated, "--hold", hold, "--sources", sources,
	               "--destinations", destinations, "--closer", closer_of(c),
	               c->server ? "--role=server" : "--role=client",
	               c->bind_first ? "--bind-first" : NULL, NULL);
}

/* Of these exit statuses, and JSON; what else there is says what it was. */
static struct answer ask_must(const struct run *run, double rate, int status)
{
	struct answer answer = ask_plan(run, rate);
	if (answer.status == status && answer.root)
		return answer;
	char *told = json_dumps(answer.root, JSON_COMPACT);
	fail_msg("%s: a plan for %.2f/s: exit status %d, expected %d: %s%s", run->course->name,
	         rate, answer.status, status, answer.errors, told ? told : "no JSON");
	return answer;
}

static void ask(struct run *run)
{
	struct answer answer = ask_must(run, 0, 0);
	/* connections that are over at once, and TIME_WAIT cut short: nothing stops these */
	bool has_rate = run->course->per_s > 0;
	run->highest = has_rate ? 0 : real_of(answer.root, "highest");
	const char *first = json_string_value(json_object_get(answer.root, "first"));
	(void)snprintf(run->first, sizeof(run->first), "%s", first ? first : "nothing");
	answer_done(&answer);
	run->rate = has_rate ? run->course->per_s : run->highest * run->factor;
	answer = ask_must(run, run->rate, run->factor > 1);
	run->time_wait = real_of(answer.root, "time_wait");
	run->entries = real_of(answer.root, "conntrack_entries");
	run->full_in_s = run->factor > 1 ? real_of(answer.root, "full_in_s") : 0;
	answer_done(&answer);
}

/* ---- what happens ------------------------------------------------------------------------------
 */

/* Connections that are open, in the order in which they were opened. */
struct held {
	struct lab_pair pairs[HELD];
	int64_t close_ns[HELD];
	unsigned head, tail;
	atomic_uint closing; /* batches */
};

/* Some that are closed in a thread of their own: from both ends at once it takes its time. */
struct batch {
	struct held *held;
	unsigned n;
	enum lab_end end;
	struct lab_pair pairs[];
};

static void *close_batch(void *argument)
{
	struct batch *batch = argument;
	struct held *held = batch->held;
	(void)lab_pairs_close(batch->pairs, batch->n, batch->end);
	free(batch);
	(void)atomic_fetch_sub(&held->closing, 1);
	return NULL;
}

static void close_some(struct held *held, struct lab_pair *pairs, unsigned n, enum lab_end end)
{
	pthread_t thread;
	struct batch *batch =
	        end == LAB_TOGETHER ? malloc(sizeof(*batch) + n * sizeof(*batch->pairs)) : NULL;
	if (!batch) {
		(void)lab_pairs_close(pairs, n, end);
		return;
	}
	*batch = (struct batch){.held = held, .n = n, .end = end};
	memcpy(batch->pairs, pairs, n * sizeof(*pairs));
	(void)atomic_fetch_add(&held->closing, 1);
	if (pthread_create(&thread, NULL, close_batch, batch) == 0)
		(void)pthread_detach(thread);
	else
		(void)close_batch(batch);
}

/* All that are due. */
static void close_due(struct held *held, enum lab_end end, int64_t now_ns)
{
	while (held->tail != held->head && held->close_ns[held->tail % HELD] <= now_ns) {
		unsigned n = 0, at = held->tail % HELD;
		while (at + n < HELD && held->tail + n != held->head &&
		       held->close_ns[at + n] <= now_ns)
			n++;
		close_some(held, &held->pairs[at], n, end);
		held->tail += n;
	}
}

/* Waits for the next moment and closes meanwhile what is due. */
static void wait_until(struct held *held, enum lab_end end, int64_t at_ns)
{
	for (int64_t now; (now = lp_clock_ns()) < at_ns;) {
		close_due(held, end, now);
		int64_t wake = at_ns;
		if (held->tail != held->head && held->close_ns[held->tail % HELD] < wake)
			wake = held->close_ns[held->tail % HELD];
		struct timespec when = {.tv_sec = wake / 1000000000, .tv_nsec = wake % 1000000000};
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
	}
	close_due(held, end, lp_clock_ns());
}

static int open_next(struct run *run, unsigned n, struct lab_pair *ret)
{
	const struct course *c = run->course;
	unsigned pair = n % (c->sources * c->destinations), to = pair / c->sources;
	struct lab_how how = {.timeout_ms = 2500};
	if (!c->closing_s)
		how.from = &run->from[pair % c->sources];
	how.options = c->bind_first ? 0 : LAB_BIND_NO_PORT;
	return lab_pair_open(&how, &run->to[to], run->listeners[to], ret);
}

static void *work(void *argument)
{
	struct run *run = argument;
	enum lab_end end = run->course->end;
	_cleanup_(lab_leave) int home =
	        lab_enter(run->course->closing_s ? &run->router.client : &run->ns);
	struct held *held = calloc(1, sizeof(*held));
	int64_t start = lp_clock_ns();
	run->error = home < 0 ? -home : held ? 0 : ENOMEM;
	for (unsigned n = 0; !run->error && !atomic_load(&run->stop); n++) {
		int64_t at = start + (int64_t)(n * 1e9 / run->rate);
		wait_until(held, end, at);
		int64_t now = lp_clock_ns();
		run->late_s = fmax(run->late_s, (double)(now - at) / 1e9);
		run->refused_s = (double)(now - start) / 1e9;
		run->error = -open_next(run, n, &held->pairs[held->head % HELD]);
		if (!run->error)
			held->close_ns[held->head++ % HELD] =
			        now + run->course->hold_ms * INT64_C(1000000);
	}
	if (held)
		close_due(held, end, INT64_MAX);
	while (held && atomic_load(&held->closing))
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	free(held);
	return NULL;
}

/* The kernel takes all that have run out within some 10 ms: the count falls. */
void run_watch_sweeps(struct run *run, double now_s)
{
	struct lp_error err = {0};
	int64_t before = run->entries_now;
	run->entries_now = lab_conntrack_count(&run->router.router, &err);
	if (run->entries_now * 100 > before * 99)
		return;
	run->after_sweep = run->entries_now;
	if (now_s - run->swept_s < 1)
		return; /* it goes on */
	run->before_sweep = before;
	run->sweep_s = now_s - run->swept_s;
	run->swept_s = now_s;
	run->sweeps++;
}

void run_sample(struct run *run)
{
	struct lp_error err = {0};
	if (run->course->closing_s) {
		int64_t entries = lab_conntrack_count(&run->router.router, &err);
		run->most_entries = entries > run->most_entries ? entries : run->most_entries;
		return;
	}
	int time_wait = lab_time_wait_count(&run->ns);
	run->most_time_wait = time_wait > run->most_time_wait ? time_wait : run->most_time_wait;
}

void run_make(struct run *run, const struct course *course, double factor)
{
	*run = (struct run){.course = course,
	                    .factor = factor,
	                    .ns = LAB_NS_NONE,
	                    .router = LAB_ROUTER_NONE,
	                    .listeners = {-1, -1, -1}};
	course->closing_s ? set_up_router(run) : set_up_plain(run);
	ask(run);
	note("%s: %u ports, %u x %u, hold %u ms: %.2f/s", course->name, course->ports,
	     course->sources, course->destinations, course->hold_ms, run->rate);
	if (!(course->per_s > 0))
		note("%s stop it at %.2f/s", run->first, run->highest);
}

void run_done(struct run *run)
{
	for (int i = 0; i < RUN_DESTINATIONS; i++)
		lp_close_fd(&run->listeners[i]);
	lab_ns_done(&run->ns);
	lab_router_done(&run->router);
}

void run_start(struct run *run)
{
	must(-pthread_create(&run->thread, NULL, work, run));
}

void run_stop(struct run *run)
{
	atomic_store(&run->stop, true);
}

void run_join(struct run *run)
{
	(void)pthread_join(run->thread, NULL);
}

/* ---- what is held against each other -----------------------------------------------------------
 */

void assert_near(const char *what, double said, double was)
{
	note("%s: said %.1f, was %.1f (%+.2f %%)", what, said, was, (said / was - 1) * 100);
	assert_true(fabs(said / was - 1) * 100 <= RUN_TOLERANCE_PERCENT);
}

void run_must_carry(const struct run *run)
{
	if (run->error)
		fail_msg("%s: %s after %.2f s at %.2f/s, latest %.3f s", run->course->name,
		         strerror(run->error), run->refused_s, run->rate, run->late_s);
	note("%s: latest %.3f s", run->course->name, run->late_s);
}

void run_must_refuse(const struct run *run, int error)
{
	note("%s: refused after %.2f s at %.2f/s", run->course->name, run->refused_s, run->rate);
	if (run->error != error)
		fail_msg("%s: %s at %.2f/s, latest %.3f s, TIME_WAIT %d", run->course->name,
		         strerror(run->error), run->rate, run->late_s, run->most_time_wait);
}
