/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * conntrack-entries: each namespace's own count against the one maximum of the machine
 * (__nf_conntrack_alloc() in net/netfilter/nf_conntrack_core.c). Entries that are not ASSURED are
 * evicted for new ones, as far as the kernel finds them: eviction.h.
 */

#include <errno.h>

#include "limit/eviction.h"
#include "limit/kinds.h"

static struct lp_figure reusable(const struct lp_netns *netns)
{
	if (!netns->conntrack_unassured.known || !netns->conntrack_buckets.known ||
	    !netns->conntrack_buckets.n)
		return (struct lp_figure){0};
	uint64_t n = lp_eviction_reusable(netns->conntrack_unassured.n, netns->conntrack_buckets.n);
	uint64_t entries = netns->conntrack_entries.n; /* read before the others */
	return lp_figure(n < entries ? n : entries);
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		/* without an entry, nothing there has asked for tracking */
		if (!netns->conntrack_entries.known || !netns->conntrack_entries.n ||
		    !netns->conntrack_max.known)
			continue;
		struct lp_figure evicted = reusable(netns);
		struct lp_limit *limit = lp_limits_add(limits, &lp_conntrack_entries, i,
		                                       netns->conntrack_entries.n - evicted.n,
		                                       netns->conntrack_max.n);
		if (!limit)
			return -ENOMEM;
		limit->reusable = evicted;
		limit->exact = !evicted.n;
	}
	return 0;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	(void)limit;
	(void)scope;
}

const char *lp_conntrack_absent(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].conntrack_entries.known)
			return "Nothing is tracked: no rule asks for it, or nothing came by.";
	return "There is no connection tracking in this kernel: nf_conntrack is not loaded.";
}

const struct lp_limit_kind lp_conntrack_entries = {
        .name = "conntrack-entries",
        .label = "conntrack entries",
        .refuses = "packets of new connections are dropped (table full)",
        .collect = collect,
        .scope = scope,
        .absent = lp_conntrack_absent,
};
