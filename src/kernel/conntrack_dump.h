/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The entries of connection tracking, from ctnetlink or from /proc/net/nf_conntrack. */

#include "kernel/kernel.h"
#include "kernel/netlink.h"

/* Called for each entry; valid during the call. */
typedef void (*lp_conntrack_function)(const struct lp_conntrack_entry *entry, void *context);

/* Entries whose status, as far as the mask goes, is `status`. A mask of 0: all. */
struct lp_conntrack_filter {
	uint32_t status, mask;
};

/*
 * Dumps the entries of the namespace in which the socket was opened, both families. The kernel
 * leaves out what the filter does (Linux 5.19; before, it is left out here). 0 or a negative errno
 * as lp_netlink_ask().
 */
int lp_conntrack_dump(int fd, const struct lp_conntrack_filter *filter, uint32_t sequence,
                      lp_conntrack_function function, void *context,
                      struct lp_netlink_result *result);

/* The same message by message: what the function returns ends it, as in lp_netlink_ask(). */
int lp_conntrack_ask(int fd, const struct lp_conntrack_filter *filter, uint32_t sequence,
                     lp_netlink_function function, void *context, struct lp_netlink_result *result);

/* Decodes one message. False where it is no whole entry; then `truncated` may be set. */
bool lp_conntrack_decode(const struct nlmsghdr *header, struct lp_conntrack_entry *ret,
                         struct lp_netlink_result *result);

/*
 * The same from thread-self/net/nf_conntrack: slower where few entries are wanted, and missing
 * wherever the kernel was built without CONFIG_NF_CONNTRACK_PROCFS. 0 or a negative errno; -EINVAL:
 * a line is not understood, those before it were given.
 */
int lp_conntrack_read_text(const struct lp_kernel *kernel, const struct lp_conntrack_filter *filter,
                           lp_conntrack_function function, void *context);

/* Decodes one line without its newline. -EINVAL, and *ret as may be, where it is none. */
int lp_conntrack_parse_line(const char *line, struct lp_conntrack_entry *ret);
