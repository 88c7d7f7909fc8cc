/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/stand.h"
#include "lab/watch.h"

enum { SHORT_S = 5, LONG_S = 60, PATIENCE_S = 90 };

/* A connection that ended its own side only (FIN_WAIT2) or both (TIME_WAIT), and is watched. */
static int leave_one(const struct lab_stand *stand, bool half, int *ret_server,
                     struct lab_watch *ret)
{
	struct lab_how how = {.ns = &stand->ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	int r = lab_pair_open(&how, &stand->to, stand->listener, &pair);
	if (r < 0)
		return r;
	struct lab_watch watch = lab_watch_begin(&stand->ns, pair.client);
	if (half) {
		r = lab_pair_half_close(&pair);
		(void)close(pair.client);
		*ret_server = pair.server;
	} else {
		r = lab_pair_close(&pair, LAB_CLIENT_FIRST);
	}
	*ret = watch;
	return r;
}

/* One namespace with a tcp_fin_timeout of its own, with a TIME_WAIT and a FIN_WAIT2 in it. */
struct world {
	struct lab_stand stand;
	int half_open;
};

static int prepare(struct lab_trial *trial, int fin_timeout, struct world *w,
                   struct lab_watch watches[2])
{
	int r = lab_stand_plain(trial, &w->stand);
	if (r == 0)
		r = lab_sysctl(&w->stand.ns, lab_error(trial), "ipv4/tcp_fin_timeout", "%d",
		               fin_timeout);
	if (r < 0)
		return r;
	r = leave_one(&w->stand, false, NULL, &watches[0]);
	if (r >= 0)
		r = leave_one(&w->stand, true, &w->half_open, &watches[1]);
	return r < 0 ? lp_fail(lab_error(trial), -r, "tcp_fin_timeout %d: %s", fin_timeout,
	                       strerror(-r))
	             : 0;
}

static void world_done(struct world *w)
{
	lp_close_fd(&w->half_open);
	lab_stand_done(&w->stand);
}

static void tell(struct lab_trial *trial, const char *name, const struct lab_watch watches[2])
{
	lab_case(trial, name);
	lab_measured(trial, "time_wait_s", watches[0].lasted_s);
	lab_measured(trial, "fin_wait2_s", watches[1].lasted_s);
	lab_saw(trial, "all_gone", watches[0].gone && watches[1].gone);
}

static int run(struct lab_trial *trial)
{
	_cleanup_(world_done) struct world few = {LAB_STAND_NONE, -1};
	_cleanup_(world_done) struct world many = {LAB_STAND_NONE, -1};
	struct lab_watch watches[4] = {0};
	int r = prepare(trial, SHORT_S, &few, &watches[0]);
	if (r == 0)
		r = prepare(trial, LONG_S, &many, &watches[2]);
	if (r == 0)
		r = lab_watch_wait(trial, watches, 4, PATIENCE_S);
	if (r < 0)
		return r;
	tell(trial, "tcp_fin_timeout 5", &watches[0]);
	tell(trial, "tcp_fin_timeout 60", &watches[2]);
	lab_case(trial, NULL);

	/* In the turned world the state that people take for TIME_WAIT is measured. */
	bool half = lab_turned(trial, "fin-wait2");
	const char *state = half ? "FIN_WAIT2" : "TIME_WAIT";
	double lower_s = watches[half].lasted_s, higher_s = watches[2 + half].lasted_s;
	if (higher_s < SHORT_S)
		return lab_verdict(trial, LAB_DEPENDS, "no %s was left to be shortened", state);
	return lab_verdict_if(trial, lower_s < 0.8 * higher_s,
	                      "%s lasted %.1f s with tcp_fin_timeout %d and %.1f s with %d; it is "
	                      "FIN_WAIT2 that it limits: %.1f s and %.1f s",
	                      state, lower_s, SHORT_S, higher_s, LONG_S, watches[1].lasted_s,
	                      watches[3].lasted_s);
}

static const struct lab_turn turns[] = {
        {.what = "FIN_WAIT2 is taken for TIME_WAIT", .expect = LAB_CONFIRMED, .flag = "fin-wait2"},
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_fin_timeout_shortens_time_wait = {
        .id = "fin-timeout-shortens-time-wait",
        .claim = "lowering net.ipv4.tcp_fin_timeout shortens TIME_WAIT",
        .source = "web server tuning guides",
        .experiment = "connections are left in TIME_WAIT and in FIN_WAIT2 in a namespace with "
                      "tcp_fin_timeout 5 and in one with 60, until the kernel has forgotten them",
        .confirms = "TIME_WAIT at least a fifth shorter with 5 than with 60",
        .refutes = "the same time with both",
        .seconds = 63,
        .run = run,
        .turns = turns,
};
