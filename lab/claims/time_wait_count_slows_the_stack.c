/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <stdio.h>

#include "lab/cost.h"
#include "lab/lab.h"

enum {
	SAMPLES = 600,
	MANY = 40000, /* TIME_WAITs */
	/*
	 * Those of one destination have ports of one parity, and newer kernels hash by adding the
	 * port: only those of many destinations are spread over a small table.
	 */
	DESTINATIONS = 100,
	SLOW = 2, /* times what it took before */
};

struct experiment {
	struct lab_ns outer, ns;
	int listener;
};

/*
 * The table of connections is that of all namespaces, or of this one where its parent says so
 * (tcp_child_ehash_entries): so the namespace is made from within another of the trial.
 */
static int set_up(struct lab_trial *trial, struct experiment *x)
{
	struct lp_error *err = lab_error(trial);
	int r = lab_trial_ns(trial, &x->outer);
	if (r < 0)
		return r;
	_cleanup_(lab_leave) int home = lab_enter(&x->outer);
	if (home < 0)
		return home;
	r = lab_ns_make(&x->ns, err);
	if (r == 0)
		r = lab_sysctl(&x->ns, err, "ipv4/ip_local_port_range", "1024 65535");
	if (r == 0) /* the default is lower where memory is small */
		r = lab_sysctl(&x->ns, err, "ipv4/tcp_max_tw_buckets", "%d", 2 * MANY);
	if (r < 0)
		return r;
	struct lab_addr any = lab_addr("0.0.0.0", 80);
	struct lab_how how = {.ns = &x->ns, .from = &any};
	x->listener = lab_listen(&how, 16);
	return x->listener < 0 ? x->listener : 0;
}

/* The median cost of connect() to a destination that has no TIME_WAIT, and leaves none there. */
static int cost_now(const struct experiment *x, double *ret_us)
{
	double us[SAMPLES];
	struct lab_addr fresh = lab_addr("127.9.9.9", 80);
	struct lab_how how = {.ns = &x->ns};
	struct lab_count done =
	        lab_connect_costs(&how, &fresh, x->listener, LAB_RESET, SAMPLES, us);
	if (done.n < SAMPLES)
		return done.error ? -done.error : -EPROTO;
	*ret_us = lab_median(us, SAMPLES);
	return 0;
}

static int fill(const struct experiment *x)
{
	struct lab_how how = {.ns = &x->ns};
	for (unsigned i = 1; i <= DESTINATIONS; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "127.1.1.%u", i);
		struct lab_addr to = lab_addr(text, 80);
		struct lab_count done = lab_open_and_end(&how, &to, x->listener, LAB_CLIENT_FIRST,
		                                         MANY / DESTINATIONS);
		if (done.error)
			return -done.error;
	}
	return 0;
}

static int measure(struct lab_trial *trial, struct experiment *x)
{
	double before = 0, after = 0;
	int r = set_up(trial, x);
	if (r == 0)
		r = cost_now(x, &before);
	if (r == 0)
		r = fill(x);
	if (r == 0)
		r = cost_now(x, &after);
	if (r < 0)
		return r;
	int time_wait = lab_time_wait_count(&x->ns);
	lab_counted(trial, "time_wait", time_wait);
	lab_measured(trial, "connect_before_us", before);
	lab_measured(trial, "connect_after_us", after);
	return lab_verdict_if(trial, after > SLOW * before,
	                      "connect() to a fresh destination took %.1f µs with no TIME_WAIT and "
	                      "%.1f µs with %d",
	                      before, after, time_wait);
}

static int run(struct lab_trial *trial)
{
	struct experiment x = {.outer = LAB_NS_NONE, .ns = LAB_NS_NONE, .listener = -1};
	int r = measure(trial, &x);
	lp_close_fd(&x.listener);
	lab_ns_done(&x.ns);
	lab_ns_done(&x.outer);
	return r;
}

static const struct lab_turn turns[] = {
        {.what = "the hash table has 128 buckets",
         .expect = LAB_CONFIRMED,
         .sysctls = {{"ipv4/tcp_child_ehash_entries", "128"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_count_slows_the_stack = {
        .id = "time-wait-count-slows-the-stack",
        .claim = "the number of TIME_WAITs slows TCP down",
        .source = "forum advice; tuning guides",
        .experiment = "the CPU time of connect() to a destination without any TIME_WAIT, before "
                      "and after 40,000 are left on other ones",
        .confirms = "it takes more than twice as long",
        .refutes = "it does not",
        .seconds = 2,
        .busy = true,
        .run = run,
        .turns = turns,
};
