/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * snat-ports: what source NAT has of ports towards one remote address and port. A connection is
 * dropped when the kernel's search, which is bounded, finds none (src/forecast/snat.h), so the
 * headroom is what is free and the promise is the probability.
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"
#include "snapshot/nat.h"

static unsigned assumptions(const struct lp_nat_pool *pool, uint32_t closing)
{
	unsigned assumed = closing ? LP_ASSUME_CLOSING_TAKEN : 0;
	if (!pool->range.told)
		assumed |= LP_ASSUME_SNAT_RANGE;
	if (pool->range.told && pool->range.several)
		assumed |= LP_ASSUME_SNAT_RULE;
	return assumed;
}

static int add_pool(struct lp_limits *limits, size_t index, const struct lp_nat_pool *pool)
{
	uint32_t used, closing;
	uint64_t capacity = (uint64_t)pool->range.high - pool->range.low + 1;
	lp_nat_count(pool, pool->range.low, pool->range.high, &used, &closing);
	struct lp_limit *limit =
	        lp_limits_add(limits, &lp_snat_ports, index, used - closing, capacity);
	if (!limit)
		return -ENOMEM;
	limit->nat = pool;
	limit->reusable = lp_figure(closing);
	limit->exact = lp_nat_is_whole(pool);
	limit->assumed = assumptions(pool, closing);
	return 0;
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	int r = 0;
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		for (size_t k = 0; k < netns->n_nats && r == 0; k++)
			r = add_pool(limits, i, &netns->nats[k]);
	}
	return r;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	lp_scope_address(scope, "translated", &limit->nat->key.translated);
	lp_scope_address(scope, "remote", &limit->nat->key.remote);
	lp_scope_number(scope, "remote_port", limit->nat->key.remote_port);
}

static void where(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	char translated[LP_ADDRESS_TEXT], remote[LP_ADDRESS_TEXT];
	const struct lp_nat_key *key = &limit->nat->key;
	(void)snprintf(buf, size, "%s %s %s", lp_address_text(&key->translated, translated), arrow,
	               lp_address_port_text(&key->remote, key->remote_port, remote));
}

static const char *absent(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].conntrack)
			return "No TCP connection has its source translated.";
	return lp_conntrack_absent(snapshot);
}

const struct lp_limit_kind lp_snat_ports = {
        .name = "snat-ports",
        .label = "SNAT ports",
        .refuses = "SYNs of clients behind it are dropped, more and more before it is full",
        .collect = collect,
        .scope = scope,
        .where = where,
        .absent = absent,
};
