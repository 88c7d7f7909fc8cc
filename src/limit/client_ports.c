/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * client-ports: the connections that one client can have with one listener. The client runs out of
 * source ports; a TIME_WAIT on this side is not in its way, since a new SYN replaces it
 * (tcp_timewait_state_process() in net/ipv4/tcp_minisocks.c) unless PAWS or the sequence number
 * speaks against it.
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"

enum { ALL_PORTS = 65535, UNPRIVILEGED_PORTS = 64512 };

static int add_pool(struct lp_limits *limits, const struct lp_netns *netns, size_t index,
                    const struct lp_pool *pool)
{
	uint32_t time_wait = pool->states[LP_TIME_WAIT];
	struct lp_limit *limit =
	        lp_limits_add(limits, &lp_client_ports, index, lp_pool_total(pool) - time_wait,
	                      pool->low_ports ? ALL_PORTS : UNPRIVILEGED_PORTS);
	if (!limit)
		return -ENOMEM;
	limit->pool = pool;
	limit->reusable = lp_figure(time_wait);
	limit->exact = !pool->missed && !pool->about && !netns->sockets_torn;
	limit->about = pool->about;
	limit->assumed = (pool->low_ports ? 0 : LP_ASSUME_CLIENT_PORTS) |
	                 (time_wait ? LP_ASSUME_SYN_REPLACES : 0);
	return 0;
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	int r = 0;
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		for (size_t k = 0; netns->sockets_read && k < netns->n_pools && r == 0; k++)
			if (netns->pools[k].key.side == LP_ACCEPTED &&
			    lp_pool_total(&netns->pools[k]))
				r = add_pool(limits, netns, i, &netns->pools[k]);
	}
	return r;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	lp_scope_address(scope, "listener", &limit->pool->key.local);
	lp_scope_number(scope, "listener_port", limit->pool->key.port);
	lp_scope_address(scope, "client", &limit->pool->key.remote);
}

static void where(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	char listener[LP_ADDRESS_TEXT], client[LP_ADDRESS_TEXT];
	const struct lp_pool_key *key = &limit->pool->key;
	(void)snprintf(buf, size, "%s %s %s", lp_address_text(&key->remote, client), arrow,
	               lp_address_port_text(&key->local, key->port, listener));
}

static bool flow(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
                 struct lp_flow *flow)
{
	if (!limit->pool->states[LP_TIME_WAIT])
		return false;
	lp_flow_of_pool(&snapshot->netns[limit->netns], limit->pool, flow);
	return true;
}

const struct lp_limit_kind lp_client_ports = {
        .name = "client-ports",
        .label = "client ports",
        .refuses = "silence or a reset at the client",
        .collect = collect,
        .of_pool = true,
        .scope = scope,
        .where = where,
        .flow = flow,
};
