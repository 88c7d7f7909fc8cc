/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/snat.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum {
	BEGINNINGS = 65536, /* random numbers of 16 bits */
	ATTEMPTS = 128,     /* NF_NAT_MAX_ATTEMPTS */
	HARDER = 32,        /* NF_NAT_HARDER_THRESH: tries that take over what is closing */
	LEAST = 16,         /* a row shorter than this is the last one */
};

enum { ROW = BEGINNINGS + ATTEMPTS };

/* For each beginning, what follows it; a row goes on at 0 after 65535, as the kernel's number does.
 */
struct rows {
	bool taken[ROW];
	uint8_t used[BEGINNINGS];  /* so many ports in a row are in use, at most ATTEMPTS */
	uint32_t closing[ROW + 1]; /* of those before it, how many are closing */
};

static uint32_t size_of(const struct lp_nat_pool *pool)
{
	return (uint32_t)pool->range.high - pool->range.low + 1;
}

static void fill_rows(const struct lp_nat_pool *pool, struct rows *rows)
{
	uint32_t size = size_of(pool), at = 0, run = 0;
	rows->closing[0] = 0;
	for (uint32_t i = 0; i < ROW; i++) {
		uint16_t port = (uint16_t)(pool->range.low + at);
		rows->taken[i] = lp_nat_is_used(pool, port);
		rows->closing[i + 1] = rows->closing[i] + lp_nat_is_closing(pool, port);
		at = at + 1 == size || i + 1 == BEGINNINGS ? 0 : at + 1;
	}
	for (uint32_t i = ROW; i-- > 0;) {
		run = rows->taken[i] ? run + 1 : 0;
		if (i < BEGINNINGS)
			rows->used[i] = (uint8_t)(run < ATTEMPTS ? run : ATTEMPTS);
	}
}

/* The chance that a search of so many ports finds none; *found: how many it meets on average. */
static double search(const struct rows *rows, uint32_t attempts, double *found)
{
	uint32_t plain = attempts > HARDER ? attempts - HARDER : 0;
	double refused = 0, met = 0;
	for (uint32_t i = 0; i < BEGINNINGS; i++) {
		uint32_t used = rows->used[i];
		met += used < plain ? used : plain; /* the others are looked up another way */
		if (used >= attempts)
			refused += exp2(
			        -(double)(rows->closing[i + attempts] - rows->closing[i + plain]));
	}
	*found = met / BEGINNINGS;
	return refused / BEGINNINGS;
}

/* The chance that the client's own port can't be kept. */
static double not_kept(const struct lp_nat_pool *pool)
{
	const struct lp_nat_range *range = &pool->range;
	uint32_t low = pool->client_low, high = pool->client_high, used, closing;
	uint32_t from = low > range->low ? low : range->low,
	         to = high < range->high ? high : range->high;
	if (range->random || from > to || low > high)
		return 1;
	lp_nat_count(pool, from, to, &used, &closing);
	/* clients' ports are taken to be spread evenly over those that were seen */
	return 1 - (double)(to - from + 1 - used) / (high - low + 1);
}

int lp_snat_chance(const struct lp_nat_pool *pool, struct lp_snat_chance *ret)
{
	uint32_t size = size_of(pool), attempts = size < ATTEMPTS ? size : ATTEMPTS;
	double reached = not_kept(pool), found;
	*ret = (struct lp_snat_chance){0};
	_cleanup_(lp_free_ptr) struct rows *rows = malloc(sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	fill_rows(pool, rows);
	for (;; attempts /= 2) {
		double refused = search(rows, attempts, &found);
		ret->found += reached * found;
		reached *= refused;
		if (attempts >= size || attempts < LEAST)
			break;
	}
	ret->refused = reached;
	return 0;
}
