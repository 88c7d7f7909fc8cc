/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * sock_diag over netlink (linux/inet_diag.h). The request is the old TCPDIAG_GETSOCK: one walk of
 * the table answers for both address families, where SOCK_DIAG_BY_FAMILY walks once for each.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/netlink.h"

/* idiag_states bit of bound but unconnected sockets, Linux 6.8 (91051f003948). */
enum { LP_DIAG_BOUND_BIT = 13 };

/* One message, decoded. Ports in host order. */
struct lp_diag_message {
	uint8_t family, state, timer;
	uint16_t local_port, remote_port;
	const uint8_t *local, *remote; /* 16 bytes each, into the message */
	uint32_t ifindex;
	uint32_t expires_ms; /* of the timer; TIME_WAIT: until it goes away */
	uint32_t rqueue, wqueue, uid, inode;
	uint64_t cookie;
	int v6only; /* INET_DIAG_SKV6ONLY: 0 or 1; -1 where the message does not say */
};

/* Called for each socket. Nonzero ends the dump and is returned. */
typedef int (*lp_diag_function)(const struct lp_diag_message *message, void *context);

/* A NETLINK_SOCK_DIAG socket in the calling thread's namespace, or negative errno. */
int lp_diag_open(void);

/*
 * Asks for all TCP sockets whose state has its bit in `states` and reads the whole answer, of
 * `sequence`, one dump. 0, a negative errno (of the kernel, of the socket; -EBADMSG: not an
 * answer; -ETIMEDOUT), or what the function returned.
 */
int lp_diag_dump(int fd, uint32_t states, uint32_t sequence, lp_diag_function function,
                 void *context, struct lp_netlink_result *result);

/*
 * Parses one datagram of `size` bytes that came as an answer to `sequence`. Returns 1 when the
 * dump is done, 0 when more follows, else as lp_diag_dump(). Never reads past the size.
 */
int lp_diag_parse(const void *datagram, size_t size, uint32_t sequence, lp_diag_function function,
                  void *context, struct lp_netlink_result *result);
