/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * time-wait-buckets: how many TIME_WAITs a namespace keeps. inet_twsk_alloc() in
 * net/ipv4/inet_timewait_sock.c gives none beyond tcp_max_tw_buckets: the connection then ends
 * without TIME_WAIT, and TCPTimeWaitOverflow counts it.
 */

#include <errno.h>

#include "limit/kinds.h"

/* Of none at all none is used up until the first one is cut short. */
static bool is_idle(const struct lp_netns *netns)
{
	const struct lp_figure *ever = &netns->tcp_counters.time_wait_overflow;
	return netns->max_tw_buckets.n == 0 && !(ever->known && ever->n);
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		if (!netns->time_wait.known || !netns->max_tw_buckets.known || is_idle(netns))
			continue;
		if (!lp_limits_add(limits, &lp_time_wait_buckets, i, netns->time_wait.n,
		                   netns->max_tw_buckets.n))
			return -ENOMEM;
	}
	return 0;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	(void)limit;
	(void)scope;
}

static bool flow(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
                 struct lp_flow *flow)
{
	const struct lp_netns *netns = &snapshot->netns[limit->netns];
	if (!netns->sockets_read || !netns->states[LP_TIME_WAIT])
		return false;
	*flow = (struct lp_flow){
	        .timers = netns->timers,
	        .oldest_left_ms = netns->oldest_left_ms,
	        .time_wait = (uint32_t)netns->states[LP_TIME_WAIT],
	        .stays_ms = LP_TIME_WAIT_S * 1000,
	        .counts = true,
	        .cut_short = lp_time_wait_is_cut_short(netns),
	};
	/* sockstat counts FIN_WAIT2 after close() too, which the dump shows apart */
	if (netns->time_wait.n > flow->time_wait)
		flow->live = (uint32_t)(netns->time_wait.n - flow->time_wait);
	return true;
}

static const char *const counters[] = {"TCPTimeWaitOverflow", NULL};

const struct lp_limit_kind lp_time_wait_buckets = {
        .name = "time-wait-buckets",
        .label = "TIME_WAIT buckets",
        .refuses = "nothing fails, but TIME_WAIT is cut short (TCPTimeWaitOverflow)",
        .counters = counters,
        .collect = collect,
        .scope = scope,
        .flow = flow,
};
