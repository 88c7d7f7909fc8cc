/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts how often each of many addresses comes, in bounded memory: at most LP_TALLY_MAX are kept.
 * When it is full, the smaller half is dropped ("lossy counting"): one that comes later may have
 * been dropped before, and then `missed` bounds what it lacks. Exact below that many addresses.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum { LP_TALLY_MAX = 16384 };

struct lp_tally;

struct lp_tally_item {
	struct lp_address address;
	uint32_t n;
	uint32_t missed;
};

/* The caller's; NULL when memory is short. */
struct lp_tally *lp_tally_new(void);
void lp_tally_free(struct lp_tally *tally);

void lp_tally_add(struct lp_tally *tally, const struct lp_address *address);

/*
 * The `room` largest into ret, largest first, those that are equal by their bytes. Returns how
 * many there are.
 */
size_t lp_tally_top(struct lp_tally *tally, struct lp_tally_item *ret, size_t room);
