/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "snapshot/listeners.h"

/* A limit by what it is of: the same in two looks. */
struct entry {
	uint64_t identity;
	uint64_t used;
};

static uint64_t identity_of(const struct lp_snapshot *snapshot, const struct lp_limit *limit)
{
	struct lp_scope scope = {0};
	limit->kind->scope(limit, &scope);
	uint64_t hash = lp_hash(0, limit->kind->name, strlen(limit->kind->name));
	if (limit->netns != LP_NO_NETNS) {
		const struct lp_netns *netns = &snapshot->netns[limit->netns];
		hash = lp_hash(hash, &netns->inode, sizeof(netns->inode));
	}
	for (size_t i = 0; i < scope.n; i++) {
		const struct lp_scope_word *word = &scope.words[i];
		hash = lp_hash(hash, word->text, strlen(word->text));
		hash = lp_hash(hash, &word->number, sizeof(word->number));
	}
	return hash;
}

static int compare(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	return a->identity < b->identity ? -1 : a->identity > b->identity;
}

/* The namespace as it was; NULL where it was not there or not seen. */
static const struct lp_netns *netns_before(const struct lp_snapshot *before,
                                           const struct lp_netns *netns)
{
	for (size_t i = 0; i < before->n_netns; i++) {
		const struct lp_netns *was = &before->netns[i];
		if (was->inode == netns->inode && was->device == netns->device)
			return was;
	}
	return NULL;
}

/* By how much the kernel's own counters grew. */
static void count_growth(const struct lp_snapshot *before, struct lp_snapshot *now, double seconds)
{
	now->apart_s = seconds;
	for (size_t i = 0; i < now->n_netns; i++) {
		struct lp_netns *netns = &now->netns[i];
		const struct lp_netns *was = netns_before(before, netns);
		if (!was)
			continue;
		netns->overflow = lp_listeners_overflow(was, netns);
		lp_tcp_counters_growth(&was->tcp_counters, &netns->tcp_counters,
		                       &netns->tcp_growth);
		lp_conntrack_growth(&was->conntrack_counters, &netns->conntrack_counters,
		                    &netns->conntrack_growth);
	}
}

int lp_growth(const struct lp_report *before, struct lp_report *now, double seconds)
{
	count_growth(before->snapshot, now->snapshot, seconds);
	const struct lp_limits *limits = &before->limits;
	_cleanup_(lp_free_ptr) struct entry *entries = calloc(limits->n + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < limits->n; i++)
		entries[i] = (struct entry){
		        .identity = identity_of(before->snapshot, &limits->items[i]),
		        .used = limits->items[i].used,
		};
	qsort(entries, limits->n, sizeof(*entries), compare);
	for (size_t i = 0; i < now->limits.n; i++) {
		const struct lp_limit *limit = &now->limits.items[i];
		struct entry key = {.identity = identity_of(now->snapshot, limit)};
		const struct entry *was =
		        bsearch(&key, entries, limits->n, sizeof(*entries), compare);
		if (was)
			lp_forecast_growth(&now->forecasts[i], limit, was->used, seconds);
	}
	return 0;
}
