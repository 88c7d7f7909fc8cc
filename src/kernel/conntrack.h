/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connection tracking of one namespace, as far as it is worth its price. */

#include "kernel/kernel.h"

struct lp_conntrack_options {
	enum lp_read_conntrack read;
	enum lp_read reader; /* whether programs in the kernel may read entries */
	/* Opens the netlink socket; NULL is lp_ctnetlink_open(). A test puts recorded answers here.
	 */
	int (*open)(void *context);
	void *context;
};

/*
 * Reads connection tracking of the calling thread's namespace, whose sysctls are already known,
 * into netns. Without entries there is nothing to read. Counters always (0.05 ms). Of the entries,
 * with LP_CONNTRACK_AUTO: from half of the maximum on how many the kernel could evict, which it
 * filters itself; from 80 % on each (2 µs). Each too
 * where NAT has met ports in use and there are at most 20,000 entries, and then the rules of source
 * NAT. By ctnetlink, else from /proc/net/nf_conntrack; what
 * neither gives is a gap ("conntrack"). 0 (also with gaps), or -ENOMEM.
 */
int lp_conntrack_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                      struct lp_netns *netns, const struct lp_conntrack_options *options);
