/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/forecast.h"

#include <math.h>

#include "forecast/timer.h"

enum {
	RECENT_S = 10, /* the window that a forecast goes by */
};

static double seconds(uint32_t ms)
{
	return ms / 1000.0;
}

/* How long ago the oldest TIME_WAIT was made, at least 1 s: shorter tells no rate. */
static double history_s(const struct lp_flow *flow)
{
	double age = LP_TIME_WAIT_S - seconds(flow->oldest_left_ms);
	return fmax(age, 1.0);
}

/* TIME_WAITs made in the last `window` whole seconds. */
static uint32_t made_within(const struct lp_flow *flow, uint32_t window)
{
	uint32_t n = 0;
	for (uint32_t i = LP_TIME_WAIT_S - window; i < LP_TIME_WAIT_S; i++)
		n += flow->timers.left[i];
	return n;
}

/* Where connect() takes TIME_WAITs again, the older ones no longer tell how many there were. */
static double rate_under_reuse(const struct lp_flow *flow)
{
	double window = fmin(seconds(flow->stays_ms), history_s(flow));
	return (flow->time_wait - flow->aged) / fmax(window, 0.001);
}

static double rate_over(const struct lp_flow *flow, uint32_t window)
{
	return made_within(flow, window) / fmin(window, history_s(flow));
}

static bool reused(const struct lp_flow *flow)
{
	return flow->stays_ms < LP_TIME_WAIT_S * 1000;
}

/*
 * How many of today's TIME_WAITs still count after t seconds. Those of one second of the
 * histogram are taken to be spread evenly over it. One that counts for stays_ms only is gone
 * that much earlier than its timer says.
 */
static double still_counting(const struct lp_flow *flow, double t)
{
	double early = LP_TIME_WAIT_S - seconds(flow->stays_ms);
	double sum = 0;
	for (int i = 0; i < LP_TIME_WAIT_S; i++) {
		double above = i + 1 - (t + early);
		sum += flow->timers.left[i] * fmin(fmax(above, 0), 1);
	}
	return sum;
}

static double used_after(const struct lp_flow *flow, double rate, double t)
{
	double stays = seconds(flow->stays_ms);
	return flow->live + still_counting(flow, t) + rate * fmin(t, stays);
}

/*
 * When `capacity` is reached: what is there drains by its timers, and `rate` comes in. The curve
 * is made of straight lines between whole seconds (shifted by the part of a second that stays_ms
 * has), so the first stretch that crosses gives the moment exactly. INFINITY: never.
 */
static double time_to_fill(const struct lp_flow *flow, double rate, double capacity)
{
	double stays = seconds(flow->stays_ms);
	double step = stays < 1 ? stays : 1;
	double before = used_after(flow, rate, 0);
	if (before >= capacity)
		return 0;
	if (before + rate * stays < capacity)
		return INFINITY; /* not even if nothing drained: so with most of many pools */
	for (int i = 0; i * step < stays; i++) {
		double t = i * step, end = fmin(t + step, stays);
		double after = used_after(flow, rate, end);
		if (after >= capacity)
			return t + (end - t) * (capacity - before) / (after - before);
		before = after;
	}
	return INFINITY;
}

static void tell_drain(struct lp_forecast *f, const struct lp_flow *flow)
{
	uint32_t gone = 0;
	for (int i = 0; i < LP_TIME_WAIT_S; i++) {
		gone += flow->timers.left[i];
		if ((i + 1) % LP_DRAIN_STEP_S == 0)
			f->drain[f->n_drain++] = gone;
	}
}

static void tell_rates(struct lp_forecast *f, const struct lp_flow *flow)
{
	if (flow->cut_short)
		return;
	if (reused(flow)) {
		f->rate = f->rate_recent = lp_real(rate_under_reuse(flow));
		return;
	}
	f->rate = lp_real(rate_over(flow, LP_TIME_WAIT_S));
	f->rate_recent = lp_real(rate_over(flow, RECENT_S));
}

/* TIME_WAIT goes by a timer, which may be late; what is taken again goes by its age. */
static double stays_at_most_s(const struct lp_snapshot *snapshot, const struct lp_flow *flow)
{
	double late = reused(flow) ? 0 : lp_timer_late_s(snapshot->machine.tick_us, LP_TIME_WAIT_S);
	return seconds(flow->stays_ms) + late;
}

struct lp_forecast lp_forecast_one(const struct lp_snapshot *snapshot, const struct lp_limit *limit)
{
	struct lp_forecast f = {.chance = lp_chance_of(snapshot, limit)};
	struct lp_flow flow;
	if (!limit->kind->flow || !limit->kind->flow(snapshot, limit, &flow))
		return f;
	if (flow.time_wait) {
		tell_drain(&f, &flow);
		tell_rates(&f, &flow);
	}
	if (!flow.counts)
		return f;
	f.sustainable = lp_real((double)limit->capacity / stays_at_most_s(snapshot, &flow));
	if (limit->headroom == 0)
		f.exhausted_in_s = lp_real(0);
	else if (f.rate_recent.known)
		f.exhausted_in_s =
		        lp_real(time_to_fill(&flow, f.rate_recent.n, (double)limit->capacity));
	return f;
}

void lp_forecast_growth(struct lp_forecast *forecast, const struct lp_limit *limit,
                        uint64_t used_before, double interval_s)
{
	if (forecast->exhausted_in_s.known || interval_s <= 0)
		return;
	if (limit->headroom == 0)
		forecast->exhausted_in_s = lp_real(0);
	else if (limit->used <= used_before)
		forecast->exhausted_in_s = lp_real(INFINITY);
	else
		forecast->exhausted_in_s = lp_real((double)limit->headroom * interval_s /
		                                   (double)(limit->used - used_before));
}
