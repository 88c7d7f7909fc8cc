/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The listeners of a namespace, sorted, and the requests (SYN_RECV) that each of them has. Sockets
 * that listen on one address and port (SO_REUSEPORT) stand side by side as one group: sock_diag
 * does not tell whose of them a request is, so the group's first has the requests of all.
 */

#include "snapshot/snapshot.h"

/* Sorts the listeners, all with no request yet. */
void lp_listeners_begin(struct lp_netns *netns);

/*
 * Counts a request at the group that the kernel would look up for it: __inet_lookup_listener(), an
 * exact address before a wildcard. None, where nobody listens there.
 */
void lp_listeners_request(struct lp_netns *netns, const struct lp_address *local, uint16_t port);

/* What was counted tells too little, as with a sample: no listener's requests are known. */
void lp_listeners_forget_requests(struct lp_netns *netns);

/* Who filled a queue between two looks at the same namespace, as far as that is certain. */
struct lp_overflow lp_listeners_overflow(const struct lp_netns *before, const struct lp_netns *now);

/* How many listeners from this one on are of its group: 1 where there is no other. */
size_t lp_listeners_group(const struct lp_netns *netns, size_t first);
