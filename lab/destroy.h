/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SOCK_DESTROY of sock_diag (linux/sock_diag.h): sockets ended from outside, TIME_WAIT too. */

#include <stdbool.h>
#include <stdint.h>

#include "lab/socket.h"

/* Which sockets: IPv4, of a namespace (NULL: the calling thread's). */
struct lab_doomed {
	const struct lab_ns *ns;
	uint32_t states;           /* bits 1 << TCP_TIME_WAIT … */
	const struct lab_addr *to; /* only those with this remote address and port; NULL: all */
	bool mistaken;             /* name them by wrong cookies: the kernel must refuse each */
};

struct lab_destroyed {
	unsigned asked;   /* sockets that were found and asked to be destroyed */
	unsigned refused; /* of these */
	int error;        /* the positive errno of a refusal; EOPNOTSUPP: not in this kernel */
};

/*
 * Finds the sockets by a dump, which tells the cookie that each must be named by, and destroys
 * them, many in one message. Needs CAP_NET_ADMIN over the namespace. 0 or a negative errno.
 */
int lab_destroy(const struct lab_doomed *doomed, struct lab_destroyed *ret);
