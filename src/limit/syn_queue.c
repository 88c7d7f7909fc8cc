/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * syn-queue: requests of a listener, connections of which the SYN came and the last ACK did not.
 * tcp_conn_request() in net/ipv4/tcp_input.c. inet_csk_reqsk_queue_is_full() bounds them by the
 * listener's backlog; then SYN cookies are sent, or, with tcp_syncookies 0, SYNs dropped. Without
 * cookies the last quarter of tcp_max_syn_backlog is kept for clients that the kernel remembers, so
 * that sysctl is a bound too; with cookies it is none. Where tcp_syncookies is 2 nothing queues.
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"
#include "snapshot/listeners.h"

/* 3479c7549fb1 ("tcp/dccp: allow a connection when sk_max_ack_backlog is zero") is in 6.14. */
static bool holds_one_more(const struct lp_snapshot *snapshot)
{
	enum { MAJOR = 6, MINOR = 14 };
	unsigned major = 0, minor = 0;
	if (sscanf(snapshot->machine.kernel, "%u.%u", &major, &minor) != 2)
		return false;
	return major > MAJOR || (major == MAJOR && minor >= MINOR);
}

/* How many requests the kernel takes, unless the accept queue is full. */
static uint64_t bound(const struct lp_snapshot *snapshot, const struct lp_netns *netns,
                      const struct lp_listener *listener)
{
	uint64_t most = (uint64_t)listener->backlog + holds_one_more(snapshot);
	bool cookies = !netns->syncookies.known || netns->syncookies.n > 0;
	if (cookies || !netns->max_syn_backlog.known)
		return most;
	/* it refuses where less than a quarter would be left */
	uint64_t unproven = netns->max_syn_backlog.n - netns->max_syn_backlog.n / 4 + 1;
	return unproven < most ? unproven : most;
}

/* Of a group of SO_REUSEPORT: a SYN goes to one of them by its hash, so the sum is an estimate. */
static int add_group(const struct lp_snapshot *snapshot, size_t at, size_t first, size_t n,
                     struct lp_limits *limits)
{
	const struct lp_netns *netns = &snapshot->netns[at];
	const struct lp_listener *listener = &netns->listeners[first];
	uint64_t capacity = 0;
	for (size_t i = 0; i < n; i++)
		capacity += bound(snapshot, netns, &netns->listeners[first + i]);
	struct lp_limit *limit =
	        lp_limits_add(limits, &lp_syn_queue, at, listener->requests.n, capacity);
	if (!limit)
		return -ENOMEM;
	limit->listener = listener;
	limit->exact = n == 1;
	if (!holds_one_more(snapshot))
		limit->assumed |= LP_ASSUME_SYN_QUEUE_EVEN;
	if (netns->syncookies.known && netns->syncookies.n == 0)
		limit->assumed |= LP_ASSUME_CLIENTS_UNKNOWN;
	return 0;
}

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		bool none = netns->syncookies.known && netns->syncookies.n == 2;
		if (!netns->sockets_read || none)
			continue;
		for (size_t k = 0, n; k < netns->n_listeners; k += n) {
			n = lp_listeners_group(netns, k);
			int r = netns->listeners[k].requests.known
			                ? add_group(snapshot, i, k, n, limits)
			                : 0;
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* A group is named by its place alone. */
static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	lp_scope_address(scope, "listener", &limit->listener->address);
	lp_scope_number(scope, "listener_port", limit->listener->port);
}

static const char *const counters[] = {"TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesRecv",
                                       "SyncookiesFailed", NULL};

const struct lp_limit_kind lp_syn_queue = {
        .name = "syn-queue",
        .label = "SYN queue",
        .refuses = "SYN answered with a cookie (TCPReqQFullDoCookies) or dropped "
                   "(TCPReqQFullDrop)",
        .counters = counters,
        .collect = collect,
        .scope = scope,
        .where = lp_where_listener,
};
