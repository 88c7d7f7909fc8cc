/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/drops.h"

const struct lp_drop_name lp_drop_names[LP_DROP_CAUSES] = {
        [LP_DROP_TABLE_FULL] = {"table_full", "the table is full"},
        [LP_DROP_NO_NAT_PORT] = {"no_nat_port", "NAT found no free port"},
        [LP_DROP_CLASH] = {"clash", "another connection has the same addresses and ports"},
        [LP_DROP_BUCKET_FULL] = {"bucket_full", "a bucket of the hash table is too long"},
        [LP_DROP_OTHER] = {"other", "no entry could be had: no memory, or full for a moment"},
};

/*
 * nf_nat_l4proto_unique_tuple() looks at 128 + 64 + 32 + 16 + 8 ports before it gives up, or at all
 * of a smaller range, and each look at one in use counts as `found`. A clash without NAT finds one.
 */
enum { FOUND_BY_NAT = 8, ALMOST = 50 };

static uint64_t at_most(uint64_t n, uint64_t most)
{
	return n < most ? n : most;
}

bool lp_drops_tell(const struct lp_conntrack_counters *counters, bool full, struct lp_drops *ret)
{
	*ret = (struct lp_drops){0};
	if (!counters->drop.known || !counters->insert_failed.known)
		return false;
	/* these count insert_failed, but not drop; before 5.15 there were none */
	uint64_t failed = counters->insert_failed.n;
	uint64_t bucket = counters->chain_too_long.known ? counters->chain_too_long.n : 0;
	bucket = at_most(bucket, failed);
	uint64_t both = at_most(failed - bucket, counters->drop.n);
	bool by_nat = counters->found.known && counters->found.n >= both * FOUND_BY_NAT;
	ret->packets[LP_DROP_BUCKET_FULL] = bucket;
	ret->packets[by_nat ? LP_DROP_NO_NAT_PORT : LP_DROP_CLASH] = both;
	ret->packets[full ? LP_DROP_TABLE_FULL : LP_DROP_OTHER] = counters->drop.n - both;
	for (int i = 0; i < LP_DROP_CAUSES; i++)
		ret->all += ret->packets[i];
	return true;
}

bool lp_drops_is_full(struct lp_figure entries, struct lp_figure max)
{
	return entries.known && max.known && entries.n + max.n / ALMOST >= max.n;
}

/* Within the time in question. */
static bool log_says_full(const struct lp_snapshot *snapshot, const struct lp_netns *netns,
                          int64_t since_ms)
{
	for (size_t i = 0; i < snapshot->log.n; i++) {
		const struct lp_log_entry *entry = &snapshot->log.entries[i];
		bool ours = entry->netns ? entry->netns == netns->inode : netns->initial;
		if (entry->what == LP_LOG_CONNTRACK_FULL && ours && entry->last_ms >= since_ms)
			return true;
	}
	return false;
}

bool lp_drops_of(const struct lp_snapshot *snapshot, const struct lp_netns *netns, bool growth,
                 struct lp_drops *ret)
{
	const struct lp_conntrack_counters *counters =
	        growth ? &netns->conntrack_growth : &netns->conntrack_counters;
	int64_t since_ms = growth ? snapshot->taken_at_ms - (int64_t)(snapshot->apart_s * 1000) : 0;
	bool full = lp_drops_is_full(netns->conntrack_entries, netns->conntrack_max) ||
	            (counters->early_drop.known && counters->early_drop.n) ||
	            log_says_full(snapshot, netns, since_ms);
	return lp_drops_tell(counters, full, ret);
}
