/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/search.h"

static const double look_at_time_wait_us = 0.16, look_at_live_us = 0.053;

double lp_search_us(double ports, double time_wait, double live)
{
	double used = time_wait + live;
	if (used < ports / 2 || used <= 0)
		return 0;
	return ports / 2 * (time_wait * look_at_time_wait_us + live * look_at_live_us) / used;
}
