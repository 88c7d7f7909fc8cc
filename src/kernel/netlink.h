/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every question over netlink shares: the socket, and reading an answer to its end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;

/* How an answer came, besides its error. */
struct lp_netlink_result {
	bool interrupted; /* NLM_F_DUMP_INTR: what was dumped changed in a way that may lose some */
	bool lost;        /* ENOBUFS: the kernel dropped answers */
	bool truncated;   /* a datagram or message was cut off */
};

/* Called for each message that is neither an error nor the end. Nonzero ends the reading. */
typedef int (*lp_netlink_function)(const struct nlmsghdr *header, void *context,
                                   struct lp_netlink_result *result);

/* A socket of the protocol (NETLINK_…) in the calling thread's namespace, or negative errno. */
int lp_netlink_open(int protocol);

/*
 * Sends the request, whose sequence number is set, and reads the answer up to its end: the one of
 * a dump (NLM_F_DUMP), else an acknowledgement (NLM_F_ACK). 0, a negative errno (of the kernel, of
 * the socket; -EBADMSG: not an answer; -ETIMEDOUT), or what the function returned.
 */
int lp_netlink_ask(int fd, const struct nlmsghdr *request, lp_netlink_function function,
                   void *context, struct lp_netlink_result *result);

/*
 * Parses one datagram of `size` bytes that came as an answer to `sequence`. Returns 1 at the end of
 * the answer, 0 when more follows, else as lp_netlink_ask(). Never reads past the size.
 */
int lp_netlink_parse(const void *datagram, size_t size, uint32_t sequence,
                     lp_netlink_function function, void *context, struct lp_netlink_result *result);
