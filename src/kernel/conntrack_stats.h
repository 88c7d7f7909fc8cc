/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What connection tracking counts, by ctnetlink or from /proc/net/stat/nf_conntrack. */

#include "kernel/kernel.h"
#include "kernel/netlink.h"

/*
 * The counters of the calling thread's namespace into netns->conntrack_counters, summed over all
 * CPUs: by ctnetlink (0.05 ms), or, where that is missing or not allowed, from
 * thread-self/net/stat/nf_conntrack, which everybody may read. What neither tells stays unknown;
 * where there is connection tracking and its counters can't be had, that is a gap ("conntrack").
 * 0 or -ENOMEM.
 */
int lp_conntrack_stats_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                            struct lp_netns *netns);

/*
 * The text of /proc/net/stat/nf_conntrack: names, then a line of hexadecimal figures for each CPU.
 * 0, or -EINVAL and nothing set where it is torn or no such text.
 */
int lp_conntrack_stats_parse(const char *text, struct lp_conntrack_counters *ret);

/*
 * Adds one message of the answer to IPCTNL_MSG_CT_GET_STATS_CPU, which is of one CPU, to the
 * struct lp_conntrack_counters in context. An lp_netlink_function.
 */
int lp_conntrack_stats_take(const struct nlmsghdr *header, void *context,
                            struct lp_netlink_result *result);
