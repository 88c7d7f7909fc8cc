/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to the kernel over netlink, for the lab. */

#include <libmnl/libmnl.h>

enum { LAB_NETLINK_BUFFER = 8192 };

/* In the calling thread's namespace. The caller's to close; NULL with errno. */
struct mnl_socket *lab_netlink_open(int bus, unsigned groups);

/* Sends a request and waits for its ACK, or the end of a dump; answers go to cb. 0 or negative
 * errno.
 */
int lab_netlink_talk(struct mnl_socket *nl, struct nlmsghdr *request, mnl_cb_t cb, void *data);

static inline void lab_netlink_close(struct mnl_socket **nl)
{
	if (*nl)
		(void)mnl_socket_close(*nl);
}
