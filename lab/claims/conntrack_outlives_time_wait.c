/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "lab/lab.h"
#include "lab/tracked.h"

enum { LOOK_EVERY_MS = 200, PATIENCE_S = 75 };

/* Which of the two is still there. */
struct both {
	bool socket, entry;
	uint32_t entry_left_s;
};

static int look(struct lab_trial *trial, const struct lab_tracked *tracked,
                const struct lab_addr *from, struct both *ret)
{
	struct lab_conntrack entry = {0};
	int state = lab_tuple_state(&tracked->ns, from, &tracked->to);
	int found = lab_conntrack_find(&tracked->ns, from, &tracked->to, &entry, lab_error(trial));
	if (state < 0 && state != -ENOENT)
		return lp_fail(lab_error(trial), -state, "sock_diag: %s", strerror(-state));
	if (found < 0 && found != -ENOENT)
		return found;
	*ret = (struct both){.socket = state == TCP_TIME_WAIT,
	                     .entry = found == 0 && entry.tcp_state == TCP_CONNTRACK_TIME_WAIT,
	                     .entry_left_s = entry.left_s};
	return 0;
}

/* Opens and ends a connection; *ret is the end that keeps TIME_WAIT. */
static int leave_time_wait(struct lab_trial *trial, const struct lab_tracked *tracked,
                           struct lab_addr *ret)
{
	struct lab_how how = {.ns = &tracked->ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	int r = lab_pair_open(&how, &tracked->to, tracked->listener, &pair);
	if (r == 0) {
		*ret = lab_addr_local(pair.client);
		r = lab_pair_close(&pair, LAB_CLIENT_FIRST);
	}
	return r < 0 ? lp_fail(lab_error(trial), -r, "a connection: %s", strerror(-r)) : 0;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_tracked_done) struct lab_tracked tracked = LAB_TRACKED_NONE;
	struct lab_addr from;
	struct both first = {0}, now;
	int r = lab_tracked_make(trial, &tracked);
	if (r == 0)
		r = leave_time_wait(trial, &tracked, &from);
	int64_t start = lp_clock_ns();
	if (r == 0)
		r = look(trial, &tracked, &from, &first);
	if (r < 0)
		return r;
	if (!first.socket || !first.entry)
		return lp_fail(lab_error(trial), EPROTO, "no TIME_WAIT stands to begin with");

	double waited = 0;
	for (now = first; now.socket && now.entry && waited < PATIENCE_S;) {
		(void)poll(NULL, 0, LOOK_EVERY_MS);
		r = look(trial, &tracked, &from, &now);
		if (r < 0)
			return r;
		waited = lab_seconds_since(trial, start);
	}
	lab_counted(trial, "entry_had_s", first.entry_left_s);
	lab_measured(trial, "until_one_went_s", waited);
	lab_saw(trial, "socket_still_there", now.socket);
	lab_saw(trial, "entry_still_there", now.entry);
	lab_counted(trial, "entry_left_s", now.entry_left_s);
	if (now.socket && now.entry)
		return lab_verdict(trial, LAB_DEPENDS, "both were still there after %.0f s",
		                   waited);
	return lab_verdict_if(trial, now.entry && !now.socket,
	                      now.entry
	                              ? "after %.1f s the socket was gone, the entry had %u s left"
	                              : "after %.1f s the entry was gone (%u s left)",
	                      waited, now.entry_left_s);
}

static const struct lab_turn turns[] = {
        {.what = "conntrack keeps TIME_WAIT for ten seconds",
         .expect = LAB_REFUTED,
         .sysctls = {{"netfilter/nf_conntrack_tcp_timeout_time_wait", "10"}}},
        {0},
};

const struct lab_claim lab_claim_conntrack_outlives_time_wait = {
        .id = "conntrack-outlives-time-wait",
        .claim = "a conntrack entry stays longer than the socket's TIME_WAIT",
        .source = "nf_conntrack_tcp_timeout_time_wait (120 s) of the kernel's documentation",
        .experiment = "one tracked connection is ended; its TIME_WAIT socket and its entry are "
                      "looked up until one of them is gone",
        .confirms = "the socket goes first",
        .refutes = "the entry goes first",
        .seconds = 62,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES,
        .run = run,
        .turns = turns,
};
