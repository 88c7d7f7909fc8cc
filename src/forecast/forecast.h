/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where a limit is going, from one look: a TIME_WAIT with 20 s left was closed 40 s ago, so its
 * timers tell the arrivals of the last minute and what goes away in the next. Arithmetic only.
 */

#include "forecast/chance.h"
#include "limit/limit.h"

enum { LP_DRAIN_POINTS = 12, LP_DRAIN_STEP_S = 5 };

struct lp_forecast {
	/* TIME_WAIT a second: over the last 60 s, and over the last 10 s (or since the first) */
	struct lp_real rate, rate_recent;
	/* the highest rate that never fills it: capacity / time that an entry stays at most, 1/s */
	struct lp_real sustainable;
	/* seconds until it is full at rate_recent; known and INFINITY where it will not fill */
	struct lp_real exhausted_in_s;
	/* how many of today's TIME_WAITs are gone after 5, 10 … 60 s; n_drain 0: not known */
	uint32_t drain[LP_DRAIN_POINTS];
	size_t n_drain;
	struct lp_chance chance; /* where it is a matter of chance */
};

/* From one snapshot. What can't be told is not known. */
struct lp_forecast lp_forecast_one(const struct lp_snapshot *snapshot,
                                   const struct lp_limit *limit);

/*
 * Where one look says nothing of the rate: from the same limit seen `interval_s` before, by how
 * much `used` grew. Leaves what lp_forecast_one() knew alone.
 */
void lp_forecast_growth(struct lp_forecast *forecast, const struct lp_limit *limit,
                        uint64_t used_before, double interval_s);
