/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bind-ports: the ports that bind(address, 0) may choose from. inet_csk_find_open_port() in
 * net/ipv4/inet_connection_sock.c wants a port that no socket uses on that address, whatever its
 * peer: TIME_WAIT of a plain connect() is in its way too. What stands in the way of 0.0.0.0 is
 * not told by sock_diag: an IPv6 socket that was bound to an address is for IPv6 only from then
 * on (__inet6_bind() in net/ipv6/af_inet6.c), one that was not is in the way.
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"

static bool has_specific(const struct lp_netns *netns)
{
	for (size_t i = 0; i < netns->n_binds; i++)
		if (!lp_address_is_any(&netns->binds[i].address))
			return true;
	return false;
}

static int collect_netns(struct lp_limits *limits, const struct lp_netns *netns, size_t index)
{
	if (!netns->sockets_read || !netns->range_low.known)
		return 0;
	uint32_t ports = lp_netns_range_ports(netns);
	bool specific = has_specific(netns);
	for (size_t i = 0; i < netns->n_binds; i++) {
		const struct lp_bind_address *bind = &netns->binds[i];
		struct lp_limit *limit = lp_limits_add(limits, &lp_bind_ports, index, bind->taken,
		                                       ports - bind->held);
		if (!limit)
			return -ENOMEM;
		limit->bind = bind;
		limit->echo = specific && lp_address_is_any(&bind->address);
		limit->exact = !netns->sockets_torn;
		limit->assumed = (lp_range_is_odd(netns) ? LP_ASSUME_ODD_RANGE : 0) |
		                 (bind->by_six ? LP_ASSUME_SIX_IN_THE_WAY : 0);
	}
	return 0;
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
	lp_scope_address(scope, "local", &limit->bind->address);
}

static void where(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	char address[LP_ADDRESS_TEXT];
	(void)arrow;
	(void)snprintf(buf, size, "bind(%s, 0)", lp_address_text(&limit->bind->address, address));
}

const struct lp_limit_kind lp_bind_ports = {
        .name = "bind-ports",
        .label = "bind ports",
        .refuses = "bind(): Address already in use (EADDRINUSE)",
        .collect = collect,
        .scope = scope,
        .where = where,
};
