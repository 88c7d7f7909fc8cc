/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/slab.h"

enum {
	ROUNDS = 5,
	TIME_WAITS = 3000,
	CONNECTIONS = 500,
	BY_MEMINFO = 2,
	QUIET_MS = 3000, /* for others to have made their sockets */
	FREED_MS = 1000, /* for the kernel to free ours */
};

/* What a round made. It stays until the last one is over: freeing it would be measured too. */
struct round {
	struct lab_ns ns;
	struct lab_fds held;
};

/* What one of each took in each round, in bytes. */
struct costs {
	double time_wait[ROUNDS], established[ROUNDS];
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

static int measure(struct lab_trial *trial, const struct lab_slab *slab, unsigned index,
                   struct round *round, struct costs *costs)
{
	int r = lab_trial_ns(trial, &round->ns);
	if (r < 0)
		return r;
	struct lab_addr any = lab_addr("127.0.0.1", 0);
	struct lab_how how = {.ns = &round->ns, .from = &any};
	_cleanup_(lp_close_fd) int listener = lab_listen(&how, 128);
	if (listener < 0)
		return listener;
	struct lab_addr to = lab_addr_local(listener);
	how.from = NULL;

	bool left_open = lab_turned(trial, "left-open");
	unsigned times = slab->exact || left_open ? 1 : BY_MEMINFO;
	int64_t start = lab_slab_settled(slab, QUIET_MS);
	struct lab_count ended =
	        left_open ? hold(&how, &to, listener, times * CONNECTIONS, &round->held)
	                  : lab_open_and_end(&how, &to, listener, LAB_CLIENT_FIRST,
	                                     times * TIME_WAITS);
	int64_t middle = lab_slab_settled(slab, FREED_MS);
	struct lab_count open = hold(&how, &to, listener, times * CONNECTIONS, &round->held);
	int64_t end = lab_slab_bytes(slab);

	int error = ended.error ? ended.error : open.error;
	if (!error && (start < 0 || middle < 0 || end < 0))
		error = EIO;
	if (error)
		return lp_fail(lab_error(trial), error, "round %u: %s", index, strerror(error));
	costs->time_wait[index] = (double)(middle - start) / (left_open ? 2 * ended.n : ended.n);
	costs->established[index] = (double)(end - middle) / (2 * open.n);
	costs->left = left_open ? (int)ended.n : lab_time_wait_count(&round->ns);
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* Of sorted values: whether all but the two outermost tell the same to a factor of two. */
static bool agree(const double sorted[ROUNDS])
{
	return sorted[1] > 0 && sorted[ROUNDS - 2] < 2 * sorted[1];
}

static int measure_all(struct lab_trial *trial, const struct lab_slab *slab, struct costs *costs)
{
	struct round rounds[ROUNDS];
	int r = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		rounds[i] = (struct round){.ns = LAB_NS_NONE};
		if (r == 0)
			r = measure(trial, slab, i, &rounds[i], costs);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		lab_fds_done(&rounds[i].held);
		lab_ns_done(&rounds[i].ns);
	}
	return r;
}

static int run(struct lab_trial *trial)
{
	struct lab_slab slab;
	struct costs costs = {0};
	int r = lab_slab_find(&slab);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "/proc/meminfo: %s", strerror(-r));
	r = measure_all(trial, &slab, &costs);
	if (r < 0)
		return r;
	double time_wait = median(costs.time_wait), established = median(costs.established);
	const char *by = slab.exact ? "/proc/slabinfo" : "/proc/meminfo";
	lab_told(trial, "measured_by", by);
	lab_measured(trial, "time_wait_bytes", time_wait);
	lab_measured(trial, "established_bytes", established);
	lab_counted(trial, "rounds", ROUNDS);
	if (costs.left <= 0)
		return lab_verdict(trial, LAB_DEPENDS, "no TIME_WAIT was left to take memory");
	if (time_wait <= 0 || established <= 0 ||
	    (!slab.exact && (!agree(costs.time_wait) || !agree(costs.established))))
		return lab_not_run(trial,
		                   "the machine did too much else to tell by %s (%.0f bytes a "
		                   "TIME_WAIT, %.0f an idle ESTABLISHED socket)%s",
		                   by, time_wait, established,
		                   slab.exact ? "" : "; root can read /proc/slabinfo");
	return lab_verdict_if(trial, time_wait < established / 2,
	                      "%.0f bytes a TIME_WAIT and %.0f an idle ESTABLISHED socket, by %s, "
	                      "the median of %d rounds",
	                      time_wait, established, by, ROUNDS);
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
                      "and then hundreds of idle connections, in five rounds",
        .confirms = "each TIME_WAIT takes some memory, and less than half of what an idle "
                    "ESTABLISHED socket takes",
        .refutes = "half as much or more",
        .seconds = 3,
        .busy = true,
        .run = run,
        .turns = turns,
};
