/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit/eviction.h"

#include <math.h>

enum { EVICTION_RANGE = 8, DIRECTIONS = 2 };
static const double tolerated = 0.01; /* of the connections that are refused */

/* What one entry more does to the exponent. */
static double weight(uint64_t buckets)
{
	return (double)EVICTION_RANGE * DIRECTIONS / (double)buckets;
}

double lp_eviction_refusal(uint64_t unassured, uint64_t buckets)
{
	return exp(-weight(buckets) * (double)unassured);
}

/* How many of `taken` connections are refused on the way from `unassured` down. */
static double refused(double unassured, double taken, double a)
{
	return (exp(-a * (unassured - taken)) - exp(-a * unassured)) / a;
}

uint64_t lp_eviction_reusable(uint64_t unassured, uint64_t buckets)
{
	double a = weight(buckets), all = (double)unassured;
	if (lp_eviction_refusal(unassured, buckets) > tolerated)
		return 0;
	/* below `low` each is refused less often than is tolerated, so that all of them are */
	double low = all + log(tolerated) / a, high = all;
	while (high - low > 0.5) {
		double middle = (low + high) / 2;
		if (refused(all, middle, a) <= tolerated * middle)
			low = middle;
		else
			high = middle;
	}
	return low > 0 ? (uint64_t)low : 0;
}
