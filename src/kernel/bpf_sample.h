/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How large a sample of a table of connections has to be, so that no pool that matters is missed:
 * arithmetic alone.
 *
 * The table's blocks of LP_SAMPLE_BLOCK buckets are put into strata of `share` blocks, and one
 * block at a random place of each is read. Since Linux 6.15 a pool lies in a stretch of the table
 * as long as its port range, so that each of its strata gives it 0 to 8 connections, independently
 * of the others: by Hoeffding's inequality it is seen in the sample, wherever in the range its
 * ports are, with less than `margin` connections too few, but once in a million times. A pool that
 * is not in one stretch is strewn over the whole table, and is missed less often still.
 */

#include <stdint.h>

enum {
	LP_SAMPLE_AIM = 16384, /* connections of a sample, at most */
	LP_SAMPLE_LEAST = 8,   /* share: where more is read, all might as well be */
	LP_SAMPLE_MOST = 256,
};

/*
 * How many connections too few an estimate of a pool may have but once in a million times; of a
 * range of so many ports and a table of so many buckets.
 */
uint32_t lp_sample_margin(uint32_t ports, uint32_t buckets, uint32_t share);

/*
 * The largest power of two at which a pool of `enough` connections is still known by an estimate of
 * half as many. 0: none.
 */
uint32_t lp_sample_safe(uint32_t enough, uint32_t ports, uint32_t buckets);

/* The share at which `connections` are brought down to at most `aim`; a power of two. */
uint32_t lp_sample_share(uint64_t connections, uint32_t aim);
