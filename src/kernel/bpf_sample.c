/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_sample.h"

#include <math.h>

#include "bpf/sample.h"

uint32_t lp_sample_margin(uint32_t ports, uint32_t buckets, uint32_t share)
{
	const double certain = 14; /* e^-14 is less than a millionth */
	if (!ports || !buckets)
		return 0;
	/* a range that is longer than the table is wound round it */
	double turns = ceil((double)ports / buckets);
	double most = LP_SAMPLE_BLOCK * turns; /* connections of a pool in a block */
	double stretch = ports < buckets ? ports : buckets;
	double strata = stretch / ((double)LP_SAMPLE_BLOCK * share) + 1;
	return (uint32_t)ceil(share * most * sqrt(certain * strata / 2));
}

uint32_t lp_sample_safe(uint32_t enough, uint32_t ports, uint32_t buckets)
{
	uint32_t share = LP_SAMPLE_MOST;
	while (share && lp_sample_margin(ports, buckets, share) > enough / 2)
		share /= 2;
	return share;
}

uint32_t lp_sample_share(uint64_t connections, uint32_t aim)
{
	uint32_t share = 1;
	while (share < LP_SAMPLE_MOST && connections > (uint64_t)aim * share)
		share *= 2;
	return share;
}
