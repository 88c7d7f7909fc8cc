/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A fast hash of fixed-size keys for tables in memory: one multiplication for eight bytes, folded.
 * Keys come from outside, so a table takes its own seed from lp_hash_seed().
 */
static inline uint64_t lp_hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t lp_hash(uint64_t seed, const void *key, size_t size)
{
	const unsigned char *bytes = key;
	uint64_t hash = seed ^ size;
	for (; size >= 8; bytes += 8, size -= 8) {
		uint64_t word;
		memcpy(&word, bytes, 8);
		hash = lp_hash_mix(hash ^ word, UINT64_C(0x9e3779b97f4a7c15));
	}
	if (size) {
		uint64_t word = 0;
		memcpy(&word, bytes, size);
		hash = lp_hash_mix(hash ^ word, UINT64_C(0xd6e8feb86659fd93));
	}
	return hash;
}

/* Differs from run to run (getauxval(AT_RANDOM)), the same within one. */
uint64_t lp_hash_seed(void);
