/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit/kinds.h"

bool lp_time_wait_is_cut_short(const struct lp_netns *netns)
{
	return netns->time_wait.known && netns->max_tw_buckets.known &&
	       netns->time_wait.n >= netns->max_tw_buckets.n;
}

void lp_flow_of_pool(const struct lp_netns *netns, const struct lp_pool *pool, struct lp_flow *flow)
{
	*flow = (struct lp_flow){
	        .oldest_left_ms = pool->oldest_left_ms,
	        .time_wait = pool->states[LP_TIME_WAIT],
	        .stays_ms = LP_TIME_WAIT_S * 1000,
	        .cut_short = lp_time_wait_is_cut_short(netns),
	};
	for (int second = 0; second < LP_TIME_WAIT_S; second++)
		flow->timers.left[second] = pool->left[second];
}
