/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A client and a server with a router between them that translates the client's address:
 * 10.1.0.2 -- 10.1.0.1, 10.2.0.1 -- 10.2.0.2.
 */

#include "lab/ns.h"
#include "lab/socket.h"

#define LAB_ROUTER_CLIENT  "10.1.0.2"
#define LAB_ROUTER_OUTSIDE "10.2.0.1"
#define LAB_ROUTER_SERVER  "10.2.0.2"

struct lab_router {
	struct lab_ns client, router, server;
};
#define LAB_ROUTER_NONE ((struct lab_router){LAB_NS_NONE, LAB_NS_NONE, LAB_NS_NONE})

/* Joins three namespaces that are there already. 0, or a negative errno with err set. */
int lab_router_join(const struct lab_router *router, struct lp_error *err);

/* Has the router use its outside address and ports first to last for TCP from the client. */
int lab_router_translate(const struct lab_router *router, uint16_t first, uint16_t last,
                         struct lp_error *err);

/* Lets go of the three namespaces. For _cleanup_ too. */
void lab_router_done(struct lab_router *router);

/*
 * Sends one SYN from the client's port to the server's, as a connection that never gets an answer
 * would, and waits for what the router makes of it. 1: it has an entry, so it holds a port. 0: it
 * was dropped. -ETIMEDOUT: neither. Nobody else may use the router meanwhile, and nothing of the
 * server may answer.
 */
int lab_router_try(const struct lab_router *router, uint16_t from_port, uint16_t to_port,
                   struct lp_error *err);
