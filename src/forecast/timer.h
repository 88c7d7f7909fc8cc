/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/figure.h"

/*
 * The kernel's timer wheel (kernel/time/timer.c) fires late: a timer of up to 63 × 8^n jiffies sits
 * in a slot of 8^n jiffies, and fires at the end of the slot. TIME_WAIT's 60 s so take up to
 * 2.05 s longer at 250 Hz, 4.1 s at 1000 Hz, 5.1 s at 100 Hz.
 */

/* By how many seconds a timer of so many seconds may be late. tick_us: a jiffy; not known: 0. */
double lp_timer_late_s(struct lp_figure tick_us, double seconds);
