/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* Milliseconds since the epoch, CLOCK_REALTIME: for people and records. */
int64_t lp_clock_wall_ms(void);

/* Nanoseconds of CLOCK_MONOTONIC: for durations. */
int64_t lp_clock_ns(void);

/* Sleeps the whole time, signals or not. */
void lp_clock_sleep_ms(uint32_t ms);
