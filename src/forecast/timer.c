/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/timer.h"

enum { LEVELS = 9, SLOTS = 64, STEP = 8 }; /* LVL_DEPTH, LVL_SIZE, LVL_CLK_DIV */

double lp_timer_late_s(struct lp_figure tick_us, double seconds)
{
	if (!tick_us.known || tick_us.n == 0)
		return 0;
	double jiffies = seconds * 1e6 / (double)tick_us.n;
	double slot = 1;
	for (int level = 1; level < LEVELS && jiffies >= (SLOTS - 1) * slot; level++)
		slot *= STEP;
	return slot * (double)tick_us.n / 1e6;
}
