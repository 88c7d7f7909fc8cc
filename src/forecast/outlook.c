/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/outlook.h"

#include <math.h>

bool lp_outlook_now(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
                    const struct lp_forecast *forecast, struct lp_outlook *ret)
{
	struct lp_flow flow;
	if (!forecast->sustainable.known || !limit->kind->flow ||
	    !limit->kind->flow(snapshot, limit, &flow))
		return false;
	double at_least = (double)flow.time_wait / LP_TIME_WAIT_S;
	*ret = (struct lp_outlook){
	        .opens = forecast->rate.known ? forecast->rate.n : at_least,
	        .time_wait = flow.time_wait,
	        .live = flow.live,
	        .used = (double)limit->used,
	        .capacity = (double)limit->capacity,
	        .sustainable = forecast->sustainable.n,
	};
	return true;
}

struct lp_outlook lp_outlook_reuse(struct lp_outlook now, double requests)
{
	now.opens /= requests;
	now.time_wait /= requests;
	now.used = fmin(now.used, now.live + now.time_wait);
	return now;
}

struct lp_outlook lp_outlook_spread(struct lp_outlook now, double times)
{
	now.capacity *= times;
	now.sustainable *= times;
	return now;
}

struct lp_outlook lp_outlook_capacity(struct lp_outlook now, double capacity)
{
	now.sustainable *= capacity / now.capacity;
	now.capacity = capacity;
	return now;
}

struct lp_outlook lp_outlook_tw_reuse(struct lp_outlook now, double delay_s)
{
	now.sustainable = now.capacity / delay_s;
	now.used = fmin(now.used, now.live + now.opens * delay_s);
	return now;
}
