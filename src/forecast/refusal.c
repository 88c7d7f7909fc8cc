/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/refusal.h"

#include "limit/eviction.h"
#include "limit/kinds.h"

static struct lp_real of_conntrack(const struct lp_netns *netns)
{
	if (netns->conntrack_entries.n < netns->conntrack_max.n)
		return lp_real(0);
	if (!netns->conntrack_unassured.known || !netns->conntrack_buckets.known ||
	    !netns->conntrack_buckets.n)
		return (struct lp_real){0};
	return lp_real(
	        lp_eviction_refusal(netns->conntrack_unassured.n, netns->conntrack_buckets.n));
}

struct lp_real lp_refusal(const struct lp_snapshot *snapshot, const struct lp_limit *limit)
{
	if (limit->kind == &lp_conntrack_entries)
		return of_conntrack(&snapshot->netns[limit->netns]);
	return (struct lp_real){0};
}
