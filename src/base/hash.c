/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hash.h"

#include <sys/auxv.h>

uint64_t lp_hash_seed(void)
{
	uint64_t seed = 0;
	const void *random = (const void *)getauxval(AT_RANDOM);
	if (random)
		memcpy(&seed, random, sizeof(seed));
	return seed;
}
