/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was seen of a namespace's connection tracking. */

#include "base/figure.h"

/*
 * What the kernel counts of connection tracking, the sum over all CPUs: struct ip_conntrack_stat.
 * Of the namespace, since it began. The kernel keeps 32 bits a CPU: see lp_conntrack_grew().
 */
struct lp_conntrack_counters {
	struct lp_figure found;          /* NAT looked at a tuple and it was in use */
	struct lp_figure invalid;        /* packets that fit no connection */
	struct lp_figure insert;         /* entries made by hand (ctnetlink) */
	struct lp_figure insert_failed;  /* an entry found no place: a clash, or no port for NAT */
	struct lp_figure drop;           /* packets dropped: table full, and with insert_failed */
	struct lp_figure early_drop;     /* entries that were evicted for new ones */
	struct lp_figure error;          /* ICMP errors and malformed packets */
	struct lp_figure search_restart; /* lookups begun again: the table moved under them */
	struct lp_figure clash_resolve;  /* clashes that ended well; since Linux 5.10 */
	struct lp_figure chain_too_long; /* no entry because its bucket is full; since 5.15 */
};

/* By how much a counter grew, also where one CPU's 32 bits began again. Unknown if either is. */
static inline struct lp_figure lp_conntrack_grew(struct lp_figure before, struct lp_figure now)
{
	if (!before.known || !now.known)
		return (struct lp_figure){0};
	return lp_figure((uint32_t)(now.n - before.n));
}
