/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a pool of ports would look like after a change, at the rate that it has now and once things
 * have settled: a TIME_WAIT stays 60 s, so `opens` a second leave 60 times as many. Arithmetic
 * only.
 */

#include "forecast/forecast.h"

struct lp_outlook {
	double opens;     /* connections opened a second; at least, where that is not told */
	double time_wait; /* TIME_WAITs there are */
	double live;      /* other connections that hold a port */
	double used;      /* what counts as used */
	double capacity;
	double sustainable; /* opens a second that never fill it */
};

/* How a pool is now. False where the limit is none that TIME_WAIT moves through. */
bool lp_outlook_now(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
                    const struct lp_forecast *forecast, struct lp_outlook *ret);

/* Each connection carries so many requests where it carries one today. requests >= 1. */
struct lp_outlook lp_outlook_reuse(struct lp_outlook now, double requests);
/* The connections are spread over so many times as many tuples (addresses, ports). times >= 1. */
struct lp_outlook lp_outlook_spread(struct lp_outlook now, double times);
/* The range has so many ports. */
struct lp_outlook lp_outlook_capacity(struct lp_outlook now, double capacity);
/* connect() takes TIME_WAITs that are older than that again. */
struct lp_outlook lp_outlook_tw_reuse(struct lp_outlook now, double delay_s);
