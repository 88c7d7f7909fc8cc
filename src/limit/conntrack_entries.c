/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * conntrack-entries: each namespace's own count against the one maximum of the machine
 * (__nf_conntrack_alloc() in net/netfilter/nf_conntrack_core.c).
 */

#include <errno.h>

#include "limit/kinds.h"

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		if (!netns->conntrack_entries.known || !netns->conntrack_max.known)
			continue;
		if (!lp_limits_add(limits, &lp_conntrack_entries, i, netns->conntrack_entries.n,
		                   netns->conntrack_max.n))
			return -ENOMEM;
	}
	return 0;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	(void)limit;
	(void)scope;
}

const struct lp_limit_kind lp_conntrack_entries = {
        .name = "conntrack-entries",
        .label = "conntrack entries",
        .refuses = "packets of new connections are dropped (table full)",
        .collect = collect,
        .scope = scope,
};
