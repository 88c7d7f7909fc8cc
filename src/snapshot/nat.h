/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ports that source NAT uses: TCP connections by (translated address, remote address, remote port),
 * within which the translated port must be unique. Bounded: at most LP_NAT_MAX pools, of which
 * LP_NAT_MAPS may have many ports; when it is full the smaller half is dropped.
 */

#include "snapshot/snapshot.h"

enum {
	LP_NAT_MAX = 8192,
	LP_NAT_MAPS = 256,
	LP_NAT_FEW = 16, /* ports of a pool without a map */
	LP_NAT_CLIENTS = 8,
};

/* No padding: compared and hashed as bytes. */
struct lp_nat_key {
	struct lp_address translated, remote;
	uint16_t remote_port;
	uint16_t zero;
};
_Static_assert(sizeof(struct lp_nat_key) == 52, "no padding: hashed as bytes");

/* A client whose connections use the ports. */
struct lp_nat_client {
	struct lp_address address;
	uint32_t ports;
	uint32_t missed; /* of them at most so many are another's: "space saving" */
};

struct lp_nat_map {
	struct lp_port_map used;                      /* closing ones too */
	struct lp_port_map closing;                   /* the entry is in TIME_WAIT or CLOSE */
	struct lp_nat_client clients[LP_NAT_CLIENTS]; /* by no order; ports 0: none */
};

/* What the rule lets the kernel choose from. */
struct lp_nat_range {
	uint16_t low, high; /* both included */
	bool random;        /* the client's own port is not tried first */
	bool told;          /* by a rule; else what the kernel does without a range */
	bool several;       /* by the one of several rules whose ports are in use */
};

struct lp_nat_pool {
	struct lp_nat_key key;
	uint32_t entries;
	uint32_t translated;              /* entries of them that source NAT changed */
	uint32_t missed;                  /* at most so many more were dropped before it was kept */
	uint16_t client_low, client_high; /* the clients' own ports */
	struct lp_nat_range range;
	struct lp_nat_map *map; /* NULL: the few below, or too many pools are larger */
	struct lp_nat_few {
		struct lp_address client;
		uint16_t port;
		bool closing;
	} few[LP_NAT_FEW];
};

struct lp_nats;

/* The caller's; NULL when memory is short. */
struct lp_nats *lp_nats_new(void);
void lp_nats_free(struct lp_nats *nats);

/* One entry; what is not TCP is left out. 0 or -ENOMEM. */
int lp_nats_add(struct lp_nats *nats, const struct lp_conntrack_entry *entry);

/* Hands over the pools in which something is translated, as the caller's; NULL where there is none.
 */
size_t lp_nats_take(struct lp_nats *nats, struct lp_nat_pool **ret);
void lp_nat_pools_free(struct lp_nat_pool *pools, size_t n);

/* Whether each port of the pool is known. */
bool lp_nat_is_whole(const struct lp_nat_pool *pool);

/* The ports of the pool within low to high, those that are closing too, and these alone. */
void lp_nat_count(const struct lp_nat_pool *pool, uint32_t low, uint32_t high, uint32_t *used,
                  uint32_t *closing);
bool lp_nat_is_used(const struct lp_nat_pool *pool, uint16_t port);
bool lp_nat_is_closing(const struct lp_nat_pool *pool, uint16_t port);

/* The clients by their ports, most first; returns how many there are. */
size_t lp_nat_clients(const struct lp_nat_pool *pool, struct lp_nat_client ret[LP_NAT_CLIENTS]);
