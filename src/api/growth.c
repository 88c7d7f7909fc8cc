/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

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

int lp_growth(const struct lp_report *before, struct lp_report *now, double seconds)
{
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
