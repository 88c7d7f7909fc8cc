/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A random namespace: a port range, reserved ports, sockets that hold ports, and connections in
 * every state to several destinations. All of it follows from one seed.
 */

#include "check.h"
#include "random.h"

enum {
	WORLD_SOURCES = 3,
	WORLD_DESTINATIONS = 3,
	WORLD_POOLS = 6,
	WORLD_TEXT = INET6_ADDRSTRLEN,
};

/* One way to connect: all of one source and destination draw from one pool. */
struct world_pool {
	struct lab_how how;
	struct lab_addr from, to;
	int listener;
	int family;                                 /* AF_INET for mapped addresses too */
	char local[WORLD_TEXT], remote[WORLD_TEXT]; /* as lastport writes them */
	uint16_t port;
};

struct world {
	uint64_t seed;
	struct dice dice;
	struct lab_ns client, server; /* server.fd is -1: the client's own */
	bool wire;                    /* two namespaces with a veth pair; else all over lo */
	unsigned low, high;
	unsigned reuse, timestamps, delay_ms;
	char reserved[256];
	int64_t stale_ns; /* CLOCK_MONOTONIC: from here on younger TIME_WAITs may be aged; 0: never
	                   */
	struct world_destination {
		struct lab_addr at;
		int listener;
	} destinations[2][WORLD_DESTINATIONS];
	struct world_pool pools[WORLD_POOLS];
	size_t n_pools;
	bool bind_first;    /* to be set before world_fill(): also bind() before connect() */
	bool bound_six;     /* IPv6 connections of sockets that were bound to an address */
	struct lab_fds fds; /* everything that is held open */
};

/* Builds the world of a seed. plain: no connect() after bind() with a port of its own. */
void world_make(struct world *world, uint64_t seed);
void world_done(struct world *world);

/* Listeners and bound sockets, connections and TIME_WAITs. */
void world_fill(struct world *world);

/* One line: what this world is. buf is returned. */
const char *world_text(const struct world *world, char *buf, size_t size);

/* A local address of the namespace, wildcards and mapped ones among them where asked for. */
struct lab_addr world_local(struct world *world, uint16_t port, bool wildcards);
