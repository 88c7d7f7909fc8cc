/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * local-ports: the ports that connect() may choose from for one (local address, remote address,
 * remote port). What the kernel does is __inet_hash_connect() in net/ipv4/inet_hashtables.c: it
 * tries each port of ip_local_port_range that is not reserved, skips those whose bucket an
 * explicit bind holds, and takes the first whose tuple is free, or held by a TIME_WAIT that
 * tcp_twsk_unique() gives up.
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"

/* How many ports connect() may choose from for a destination that nobody uses yet. */
static uint32_t ports_for_connect(const struct lp_netns *netns)
{
	uint32_t ports = lp_netns_range_ports(netns);
	return ports > netns->held ? ports - netns->held : 0;
}

static bool timestamps_on(const struct lp_netns *netns)
{
	return netns->timestamps.known && netns->timestamps.n != 0;
}

/* tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: what it asks of the namespace and the addresses. */
static bool reuse_allowed(const struct lp_netns *netns, const struct lp_pool_key *key)
{
	if (!netns->tw_reuse.known)
		return false;
	if (netns->tw_reuse.n == 1)
		return true;
	return netns->tw_reuse.n == 2 &&
	       (lp_address_is_loopback(&key->local) || lp_address_is_loopback(&key->remote));
}

static uint32_t reusable_of(const struct lp_netns *netns, const struct lp_pool *pool)
{
	bool stamped = netns->aged_exact || timestamps_on(netns);
	return stamped && reuse_allowed(netns, &pool->key) ? pool->aged : 0;
}

bool lp_pool_looks_bound(const struct lp_netns *netns, const struct lp_pool *pool)
{
	uint32_t first_choice = lp_pool_total(pool) - pool->late_ports;
	return pool->late_ports > 0 && first_choice < ports_for_connect(netns) / 2 * 9 / 10;
}

static bool any_looks_bound(const struct lp_netns *netns)
{
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_OPENED &&
		    lp_pool_looks_bound(netns, &netns->pools[i]))
			return true;
	return false;
}

static int add_pool(struct lp_limits *limits, const struct lp_netns *netns, size_t index,
                    const struct lp_pool *pool, unsigned assumed)
{
	uint32_t reusable = reusable_of(netns, pool);
	struct lp_limit *limit =
	        lp_limits_add(limits, &lp_local_ports, index, lp_pool_total(pool) - reusable,
	                      ports_for_connect(netns));
	if (!limit)
		return -ENOMEM;
	limit->pool = pool;
	limit->reusable = lp_figure(reusable);
	limit->exact = !pool->missed && !pool->about && !netns->sockets_torn;
	limit->about = pool->about;
	limit->assumed = assumed | (reusable && !netns->aged_exact ? LP_ASSUME_TIMESTAMPS : 0);
	return 0;
}

/* The pool of a destination that nobody uses yet, one a family. */
static int add_new(struct lp_limits *limits, const struct lp_netns *netns, size_t index, int family,
                   unsigned assumed)
{
	struct lp_limit *limit =
	        lp_limits_add(limits, &lp_local_ports, index, 0, ports_for_connect(netns));
	if (!limit)
		return -ENOMEM;
	limit->family = family;
	limit->reusable = lp_figure(0);
	limit->exact = !netns->sockets_torn;
	limit->assumed = assumed;
	return 0;
}

static int collect_netns(struct lp_limits *limits, const struct lp_netns *netns, size_t index)
{
	if (!netns->sockets_read || !netns->range_low.known)
		return 0;
	unsigned assumed = lp_range_is_odd(netns) ? LP_ASSUME_ODD_RANGE : 0;
	if (!netns->held_exact && any_looks_bound(netns))
		assumed |= LP_ASSUME_PORTS_BY_CONNECT;
	int r = 0;
	for (size_t i = 0; i < netns->n_pools && r == 0; i++)
		if (netns->pools[i].key.side == LP_OPENED && lp_pool_total(&netns->pools[i]))
			r = add_pool(limits, netns, index, &netns->pools[i], assumed);
	if (r == 0)
		r = add_new(limits, netns, index, AF_INET, assumed);
	if (r == 0 && netns->has_ipv6)
		r = add_new(limits, netns, index, AF_INET6, assumed);
	return r;
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	int r = 0;
	for (size_t i = 0; i < snapshot->n_netns && r == 0; i++)
		r = collect_netns(limits, &snapshot->netns[i], i);
	return r;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	if (!limit->pool) {
		struct lp_address any = lp_address_any(limit->family);
		lp_scope_address(scope, "local", &any);
		lp_scope_null(scope, "remote");
		lp_scope_null(scope, "remote_port");
		return;
	}
	lp_scope_address(scope, "local", &limit->pool->key.local);
	lp_scope_address(scope, "remote", &limit->pool->key.remote);
	lp_scope_number(scope, "remote_port", limit->pool->key.port);
}

static void where(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	if (!limit->pool) {
		(void)snprintf(buf, size, "a new destination (%s)",
		               limit->family == AF_INET6 ? "IPv6" : "IPv4");
		return;
	}
	char local[LP_ADDRESS_TEXT], remote[LP_ADDRESS_TEXT];
	(void)snprintf(
	        buf, size, "%s %s %s", lp_address_text(&limit->pool->key.local, local), arrow,
	        lp_address_port_text(&limit->pool->key.remote, limit->pool->key.port, remote));
}

static bool flow(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
                 struct lp_flow *flow)
{
	/* a new destination's pool is empty, and like any other that is not loopback */
	const struct lp_pool nobodys = {.key.local = lp_address_any(limit->family)};
	const struct lp_pool *pool = limit->pool ? limit->pool : &nobodys;
	const struct lp_netns *netns = &snapshot->netns[limit->netns];
	bool reuse = timestamps_on(netns) && reuse_allowed(netns, &pool->key) &&
	             netns->tw_reuse_delay_ms.known;
	lp_flow_of_pool(netns, pool, flow);
	flow->counts = true;
	flow->live = lp_pool_total(pool) - pool->states[LP_TIME_WAIT];
	flow->aged = reuse ? pool->aged : 0;
	flow->stays_ms = reuse && netns->tw_reuse_delay_ms.n < LP_TIME_WAIT_S * 1000
	                         ? (uint32_t)netns->tw_reuse_delay_ms.n
	                         : LP_TIME_WAIT_S * 1000;
	return true;
}

const struct lp_limit_kind lp_local_ports = {
        .name = "local-ports",
        .label = "local ports",
        .refuses = "connect(): Cannot assign requested address (EADDRNOTAVAIL)",
        .collect = collect,
        .of_pool = true,
        .scope = scope,
        .where = where,
        .flow = flow,
};
