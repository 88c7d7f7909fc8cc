/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random tests print their seed and take one: LASTPORT_SEED, or the first argument. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"

struct dice {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* low to high, both included */
static inline unsigned dice_pick(struct dice *dice, unsigned low, unsigned high)
{
	return low + (unsigned)(dice_roll(dice) % (high - low + 1));
}

/* True in so many of a hundred cases. */
static inline bool dice_chance(struct dice *dice, unsigned percent)
{
	return dice_pick(dice, 1, 100) <= percent;
}

static inline uint64_t seed_of_run(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : getenv("LASTPORT_SEED");
	return text ? strtoull(text, NULL, 0) : (uint64_t)lp_clock_wall_ms() % 1000000000;
}

/* LASTPORT_ROUNDS, or the number given. */
static inline unsigned rounds_of_run(unsigned otherwise)
{
	const char *text = getenv("LASTPORT_ROUNDS");
	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}
