/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/chance.h"

#include <math.h>

#include "forecast/snat.h"
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

/*
 * A search fails only if each of its beginnings is on a port in use: five of them, or one in a
 * small range. So far from full, the map need not be looked at.
 */
static bool cannot_matter(const struct lp_limit *limit)
{
	enum { SMALL = 128, SEARCHES = 5 };
	const double traces = 0.0005;
	double used = (double)(limit->used + limit->reusable.n), all = (double)limit->capacity;
	return limit->capacity > SMALL ? used < SMALL || pow(used / all, SEARCHES) < traces
	                               : used < all;
}

static struct lp_chance of_snat(const struct lp_limit *limit)
{
	struct lp_snat_chance chance;
	if (cannot_matter(limit))
		return (struct lp_chance){.refused = lp_real(0)};
	if (!limit->exact || lp_snat_chance(limit->nat, &chance) < 0)
		return (struct lp_chance){0};
	return (struct lp_chance){lp_real(chance.refused), lp_real(chance.found)};
}

struct lp_chance lp_chance_of(const struct lp_snapshot *snapshot, const struct lp_limit *limit)
{
	if (limit->kind == &lp_conntrack_entries)
		return (struct lp_chance){.refused = of_conntrack(&snapshot->netns[limit->netns])};
	return limit->kind == &lp_snat_ports ? of_snat(limit) : (struct lp_chance){0};
}
