/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A server as a thread of this process, in any namespace. */

#include "lab/socket.h"

enum lab_serve {
	LAB_SERVE_HOLD,  /* accept and keep, whatever the other end does */
	LAB_SERVE_CLOSE, /* accept and close at once: the server closes first */
	LAB_SERVE_UNTIL, /* accept and close when the client has: the client closes first */
	LAB_SERVE_ECHO,  /* the same, and send back what comes */
};

struct lab_server;

/*
 * Listens at how->from (port 0: the kernel chooses) and serves at most `most` connections at a
 * time; those beyond it wait in the accept queue. The server is the caller's, to be ended with
 * lab_server_stop(). 0 or a negative errno.
 */
int lab_server_start(const struct lab_how *how, int backlog, enum lab_serve serve, unsigned most,
                     struct lab_server **ret);

/* Where it listens. */
struct lab_addr lab_server_addr(const struct lab_server *server);
/* How many it accepted so far. */
unsigned lab_server_accepted(const struct lab_server *server);

/* Closes the listener and everything it holds, and waits for the thread. NULL is fine. */
void lab_server_stop(struct lab_server *server);
static inline void lab_server_stopp(struct lab_server **server)
{
	lab_server_stop(*server);
	*server = NULL;
}
