/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <string.h>

#include "lab/lab.h"
#include "lab/stand.h"
#include "lab/watch.h"

enum { CLAIMED_S = 240, PATIENCE_S = 90 };

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_plain(trial, &stand);
	if (r < 0)
		return r;
	struct lab_how how = {.ns = &stand.ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	r = lab_pair_open(&how, &stand.to, stand.listener, &pair);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "connect: %s", strerror(-r));

	struct lab_watch watch = lab_watch_begin(&stand.ns, pair.client);
	r = lab_pair_close(&pair, LAB_CLIENT_FIRST);
	int count = lab_time_wait_count(&stand.ns);
	if (r == 0)
		r = lab_watch_wait(trial, &watch, 1, PATIENCE_S);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "TIME_WAIT: %s", strerror(-r));

	lab_counted(trial, "time_wait", count);
	lab_measured(trial, "lasted_s", watch.lasted_s);
	lab_measured(trial, "claimed_s", CLAIMED_S);
	if (count == 0)
		return lab_verdict(trial, LAB_DEPENDS, "no TIME_WAIT was left to last");
	if (!watch.gone)
		return lab_verdict(trial, LAB_DEPENDS,
		                   "the TIME_WAIT stood after %.0f s, longer than was waited for",
		                   watch.lasted_s);
	return lab_verdict_if(trial,
	                      watch.lasted_s > 0.9 * CLAIMED_S && watch.lasted_s < 1.1 * CLAIMED_S,
	                      "it lasted %.1f s of the %d", watch.lasted_s, CLAIMED_S);
}

static const struct lab_turn turns[] = {
        {.what = "the seconds are four times as long", .expect = LAB_CONFIRMED, .clock = 4},
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_lasts_four_minutes = {
        .id = "time-wait-lasts-four-minutes",
        .claim = "TIME_WAIT lasts 2 MSL with an MSL of two minutes: four minutes",
        .source = "RFC 9293 section 3.4.2 (MSL of 2 minutes) and section 3.6.1 (2 MSL)",
        .experiment = "a connection is closed and its tuple asked for until the kernel has "
                      "forgotten it",
        .confirms = "240 s, give or take a tenth",
        .refutes = "any other time",
        .seconds = 63,
        .run = run,
        .turns = turns,
};
