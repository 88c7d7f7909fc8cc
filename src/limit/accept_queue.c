/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * accept-queue: connections that wait for accept(). sk_acceptq_is_full() in include/net/sock.h
 * compares with `>`, so a listener holds backlog + 1.
 */

#include <errno.h>

#include "limit/kinds.h"

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		for (size_t k = 0; netns->sockets_read && k < netns->n_listeners; k++) {
			const struct lp_listener *listener = &netns->listeners[k];
			struct lp_limit *limit =
			        lp_limits_add(limits, &lp_accept_queue, i, listener->waiting,
			                      (uint64_t)listener->backlog + 1);
			if (!limit)
				return -ENOMEM;
			limit->listener = listener;
		}
	}
	return 0;
}

/* The inode tells the sockets of an SO_REUSEPORT group apart: each has a queue of its own. */
static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	lp_scope_address(scope, "listener", &limit->listener->address);
	lp_scope_number(scope, "listener_port", limit->listener->port);
	if (limit->listener->inode)
		lp_scope_number(scope, "inode", limit->listener->inode);
}

static const char *const counters[] = {"ListenOverflows", "ListenDrops", NULL};

const struct lp_limit_kind lp_accept_queue = {
        .name = "accept-queue",
        .label = "accept queue",
        .refuses = "SYN or final ACK dropped (ListenOverflows)",
        .counters = counters,
        .collect = collect,
        .scope = scope,
        .where = lp_where_listener,
};
