/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/owners.h"

#include <stdlib.h>

static const struct unowned {
	const char *what, *why;
} unowned[LP_UNOWNED_REASONS] = {
        [LP_UNOWNED_LEDGER_OFF] = {"TIME_WAIT", "the ledger was off"},
        [LP_UNOWNED_LEDGER_CLOSED] = {"TIME_WAIT", "the ledger can't be read"},
        [LP_UNOWNED_BEFORE_LEDGER] = {"TIME_WAIT", "closed before the ledger was on"},
        [LP_UNOWNED_LEDGER_LOST] = {"TIME_WAIT", "the ledger had no room for them"},
        [LP_UNOWNED_LEDGER_EITHER] = {"TIME_WAIT", "before the ledger was on, or lost by it"},
        [LP_UNOWNED_NOBODY] = {"TIME_WAIT", "no process was at it"},
        [LP_UNOWNED_CLOSED] = {"closed already", "no process holds them"},
        [LP_UNOWNED_WAITING] = {"not accepted yet", "in the listener's queue"},
        [LP_UNOWNED_HIDDEN] = {"held by others", "seeing by whom needs root"},
        [LP_UNOWNED_UNSEEN] = {"held out of sight", "come since, or elsewhere"},
        [LP_UNOWNED_UNTOLD] = {"counted only", "not looked at one by one"},
};

const char *lp_unowned_what(enum lp_unowned reason)
{
	return unowned[reason].what;
}

const char *lp_unowned_why(enum lp_unowned reason)
{
	return unowned[reason].why;
}

const struct lp_pool_owners *lp_owners_of(const struct lp_snapshot *snapshot,
                                          const struct lp_pool *pool)
{
	for (size_t i = 0; pool && i < snapshot->n_owners; i++)
		if (snapshot->owners[i].pool == pool)
			return &snapshot->owners[i];
	return NULL;
}

uint64_t lp_owner_total(const struct lp_owner *owner)
{
	uint64_t sum = 0;
	for (int state = 0; state < LP_STATES; state++)
		sum += owner->states[state];
	return sum;
}

void lp_owners_free(struct lp_pool_owners *owners, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < owners[i].n; k++)
			free(owners[i].items[k].cgroup);
		free(owners[i].items);
	}
	free(owners);
}
