/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lab/lab.h"
#include "lab/slab.h"

enum {
	ENOUGH = 5, /* rounds in which the machine was quiet */
	ROUNDS = 10,
	PATIENCE_S = 12,
	TIME_WAITS = 3000,
	CONNECTIONS = 400,
	BY_MEMINFO = 2,  /* times as many of each */
	QUIET_MS = 2000, /* for others to have made their sockets */
	FREED_MS = 1000, /* for the kernel to free ours */
};

/* What a round made. It stays until the last one is over: freeing it would be measured too. */
struct round {
	struct lab_ns ns;
	struct lab_fds held;
};

/* What one of each took in each quiet round, in bytes. */
struct costs {
	double time_wait[ROUNDS], established[ROUNDS];
	unsigned n;
	int left; /* TIME_WAITs, in the last round */
};

/* Both ends are here: two sockets a connection. */
static struct lab_count hold(const struct lab_how *how, const struct lab_addr *to, int listener,
                             unsigned n, struct lab_fds *held)
{
	struct lab_count count = {0};
	while (count.n < n && !count.error) {
		struct lab_pair pair = LAB_PAIR_NONE;
		int r = lab_pair_open(how, to, listener, &pair);
		if (r == 0)
			r = lab_hold(held, pair.client);
		if (r == 0)
			r = lab_hold(held, pair.server);
		count.error = -r;
		count.n += r == 0;
	}
	return count;
}

/*
 * Some that end, or stay open where the world is turned, then some that stay open. -ETIMEDOUT: the
 * machine was not quiet, and the round tells nothing.
 */
static int fill(const struct lab_slab *slab, bool left_open, struct round *round,
                struct costs *costs)
{
	struct lab_addr any = lab_addr("127.0.0.1", 0);
	struct lab_how how = {.ns = &round->ns, .from = &any};
	_cleanup_(lp_close_fd) int listener = lab_listen(&how, 128);
	if (listener < 0)
		return listener;
	struct lab_addr to = lab_addr_local(listener);
	how.from = NULL;
	unsigned times = slab->exact || left_open ? 1 : BY_MEMINFO;

	int64_t start = 0, middle = 0, end, later = 0;
	int r = lab_slab_settle(slab, QUIET_MS, &start);
	struct lab_count ended =
	        left_open ? hold(&how, &to, listener, times * CONNECTIONS, &round->held)
	                  : lab_open_and_end(&how, &to, listener, LAB_CLIENT_FIRST,
	                                     times * TIME_WAITS);
	int freed = lab_slab_settle(slab, FREED_MS, &middle);
	struct lab_count open = hold(&how, &to, listener, times * CONNECTIONS, &round->held);
	end = lab_slab_bytes(slab);
	r = r ? r : freed;
	if (r == 0)
		r = lab_slab_settle(slab, 0, &later);
	if (ended.error || open.error)
		return lp_negative(ended.error ? ended.error : open.error);
	costs->left = left_open ? (int)ended.n : lab_time_wait_count(&round->ns);
	if (r < 0 || end < 0)
		return r < 0 ? r : (int)end;
	costs->time_wait[costs->n] = (double)(middle - start) / (left_open ? 2 * ended.n : ended.n);
	costs->established[costs->n++] = (double)(end - middle) / (2 * open.n);
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* The middle half of the sorted rounds, apart by more than a tenth of `whole`: noise of others.
 */
static bool scattered(const double *sorted, unsigned n, double whole)
{
	return sorted[n * 3 / 4] - sorted[n / 4] > whole / 10;
}

static int measure(struct lab_trial *trial, const struct lab_slab *slab, struct costs *costs)
{
	struct round rounds[ROUNDS];
	int64_t deadline = lp_clock_ns() + PATIENCE_S * INT64_C(1000000000);
	unsigned n = 0;
	int r = 0;
	while (r == 0 && n < ROUNDS && costs->n < ENOUGH && lp_clock_ns() < deadline) {
		struct round *round = &rounds[n++];
		*round = (struct round){.ns = LAB_NS_NONE};
		r = lab_trial_ns(trial, &round->ns);
		if (r < 0)
			break;
		r = fill(slab, lab_turned(trial, "left-open"), round, costs);
		if (r == -ETIMEDOUT)
			r = 0;
		else if (r < 0)
			r = lp_fail(lab_error(trial), -r, "round %u: %s", n, strerror(-r));
	}
	for (unsigned i = 0; i < n; i++) {
		lab_fds_done(&rounds[i].held);
		lab_ns_done(&rounds[i].ns);
	}
	lab_counted(trial, "rounds", n);
	lab_counted(trial, "quiet_rounds", costs->n);
	return r;
}

/* On a machine that is never quiet: what the objects take of which each consists at most. */
static int by_objects(struct lab_trial *trial)
{
	int64_t port = lab_slab_object("tcp_bind_bucket") + lab_slab_object("tcp_bind2_bucket");
	int64_t time_wait = lab_slab_object("tw_sock_TCP"), tcp = lab_slab_object("TCP");
	if (port < 0 || time_wait < 0 || tcp < 0)
		return lab_not_run(trial, "the machine did too much else to tell; root can read "
		                          "the size of the kernel's objects");
	time_wait = port + (lab_turned(trial, "left-open") ? tcp : time_wait);
	lab_told(trial, "measured_by", "the size of objects in /proc/slabinfo");
	lab_counted(trial, "time_wait_bytes", time_wait);
	lab_counted(trial, "established_bytes", tcp);
	return lab_verdict_if(trial, time_wait < tcp / 2,
	                      "a TIME_WAIT takes an object of %lld bytes with its port's, an "
	                      "ESTABLISHED socket one of %lld; the machine did too much else to "
	                      "count them",
	                      (long long)time_wait, (long long)tcp);
}

static int run(struct lab_trial *trial)
{
	struct lab_slab slab;
	struct costs costs = {0};
	int r = lab_slab_find(&slab);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "/proc/meminfo: %s", strerror(-r));
	r = measure(trial, &slab, &costs);
	if (r < 0)
		return r;
	if (costs.left <= 0)
		return lab_verdict(trial, LAB_DEPENDS, "no TIME_WAIT was left to take memory");
	if (costs.n < ENOUGH)
		return by_objects(trial);
	double time_wait = median(costs.time_wait, costs.n);
	double established = median(costs.established, costs.n);
	if (scattered(costs.time_wait, costs.n, established) ||
	    scattered(costs.established, costs.n, established))
		return by_objects(trial);
	const char *by = slab.exact ? "/proc/slabinfo" : "/proc/meminfo";
	lab_told(trial, "measured_by", by);
	lab_measured(trial, "time_wait_bytes", time_wait);
	lab_measured(trial, "established_bytes", established);
	return lab_verdict_if(trial, time_wait > 0 && time_wait < established / 2,
	                      "%.0f bytes a TIME_WAIT and %.0f an idle ESTABLISHED socket, by %s, "
	                      "the median of %u rounds",
	                      time_wait, established, by, costs.n);
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {.what = "the connections are left open", .expect = LAB_REFUTED, .flag = "left-open"},
        {0},
};

const struct lab_claim lab_claim_time_wait_costs_less_memory = {
        .id = "time-wait-costs-less-memory",
        .claim = "TIME_WAIT consumes kernel memory, less than ESTABLISHED",
        .source = "articles on TIME_WAIT; the kernel's struct tcp_timewait_sock",
        .experiment = "the kernel's memory for sockets, before and after thousands of TIME_WAITs "
                      "and then hundreds of idle connections, round after "
                      "round until five were quiet",
        .confirms = "each TIME_WAIT takes some memory, and less than half of what an idle "
                    "ESTABLISHED socket takes",
        .refutes = "half as much or more",
        .seconds = 3,
        .busy = true,
        .run = run,
        .turns = turns,
};
