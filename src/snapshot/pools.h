/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A table of pools that holds at most LP_POOLS_MAX. When it is full, the smaller half is dropped
 * and summed ("lossy counting"): a pool that comes later may have been dropped before, and then
 * `missed` bounds what it lacks.
 */

#include "snapshot/snapshot.h"

enum { LP_POOLS_MAX = 24576 };

/* Sets its counts to 0. */
void lp_pool_clear(struct lp_pool *pool);

/* One connection in `share` was counted: makes that an estimate of all, and says how good. */
void lp_pool_estimate(struct lp_pool *pool, uint32_t share);

struct lp_pools;

int lp_pools_new(struct lp_pools **ret);
void lp_pools_free(struct lp_pools *pools);

/* Empties the table, or, after lp_pools_fix(), sets the counts of what it holds to 0. */
void lp_pools_restart(struct lp_pools *pools);

/* The pool of a key, new ones zeroed; NULL where it is only summed. Valid until the next call. */
struct lp_pool *lp_pools_get(struct lp_pools *pools, const struct lp_pool_key *key);

/*
 * The same by number, as long as the round lasts: it ends where pools are dropped, fixed or
 * restarted. Rounds begin with 1.
 */
uint32_t lp_pools_round(const struct lp_pools *pools);
size_t lp_pools_number(const struct lp_pools *pools, const struct lp_pool *pool);
struct lp_pool *lp_pools_at(struct lp_pools *pools, size_t number);
size_t lp_pools_count(const struct lp_pools *pools);

/*
 * After a walk: true where pools of at least `floor` connections may have been counted short. The
 * table is then fixed to those of that size, for another walk. At most once.
 */
bool lp_pools_fix(struct lp_pools *pools, uint32_t floor);

/* No dropped pool has more connections than this. 0: none was dropped. */
uint32_t lp_pools_dropped_bound(const struct lp_pools *pools);

/* Hands the pools over as an array of the caller's (NULL when empty). Returns how many. */
size_t lp_pools_take(struct lp_pools *pools, struct lp_pool **ret, uint64_t *ret_summed_pools,
                     uint64_t *ret_summed_sockets);
