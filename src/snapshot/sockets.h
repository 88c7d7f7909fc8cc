/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Groups the sockets of one namespace while they are read, in bounded memory: pools too small to
 * matter are summed, not kept, whether a million sockets go to one destination or to a million.
 *
 * Feed what holds ports first (listeners, bound sockets), then the connections. Where pools had to
 * be dropped on the way and a kept one may have been counted short, lp_sockets_recount() says so;
 * walking the connections once more then makes the counts of those that matter exact.
 */

#include "snapshot/sightings.h"
#include "snapshot/snapshot.h"

/* What a reader may not be able to tell. */
enum lp_told { LP_UNTOLD, LP_NO, LP_YES };

/* One connection, as a reader decoded it. IPv4-mapped addresses are folded. */
struct lp_socket {
	struct lp_address local, remote;
	uint16_t local_port, remote_port;
	uint8_t state;      /* enum lp_tcp_state */
	uint8_t v6only;     /* enum lp_told */
	uint8_t timestamps; /* enum lp_told; of a TIME_WAIT: whether it had them on */
	bool age_told;
	uint64_t cookie;  /* 0: not told */
	uint32_t inode;   /* 0: no process holds it, or not told */
	uint32_t left_ms; /* TIME_WAIT: until it goes away, 0 to 60000 */
	uint32_t age_ms;  /* TIME_WAIT: since it began, if age_told; else left_ms tells it too */
};

/*
 * What a reader that tells connections by their tuples may keep for each: where they were counted
 * the last time. All 0 in the beginning.
 */
struct lp_seat {
	uint32_t round;
	uint32_t pool;
	uint32_t bind;
};

struct lp_sockets;

/* netns gets the result; its sysctls are known already. Both outlive the collector. */
int lp_sockets_new(struct lp_netns *netns, const struct lp_port_map *reserved,
                   struct lp_sockets **ret);
void lp_sockets_free(struct lp_sockets *sockets);
static inline void lp_sockets_freep(struct lp_sockets **sockets)
{
	lp_sockets_free(*sockets);
}

/*
 * Connections with a cookie are noted in `sightings`, which outlives the collector, as those of
 * namespace number `netns`.
 */
void lp_sockets_sight(struct lp_sockets *sockets, struct lp_sightings *sightings, size_t netns);

/* A listener: kept, and its port is held. -ENOMEM, else 0. */
int lp_sockets_listener(struct lp_sockets *sockets, const struct lp_listener *listener);

/* A bound socket that is not connected: its port is held. -ENOMEM, else 0. */
int lp_sockets_bound(struct lp_sockets *sockets, const struct lp_address *address, uint16_t port,
                     bool v6only);

/*
 * Whether the caller knows which ports connect() passes over, and tells them all by
 * lp_sockets_closed(): else those are that a listener or bound socket holds. Forgets those told
 * before.
 */
void lp_sockets_know_closed(struct lp_sockets *sockets, bool knows);
void lp_sockets_closed(struct lp_sockets *sockets, uint16_t port);

/*
 * Whether the caller tells which ports are in use on which address, by lp_sockets_taken(), so that
 * the connections need not. Forgets what was told before.
 */
void lp_sockets_know_taken(struct lp_sockets *sockets, bool knows);

void lp_sockets_taken(struct lp_sockets *sockets, const struct lp_address *address, uint16_t port,
                      enum lp_told v6only);

/* Forgets listeners and bound sockets, or the latter alone, for another try at reading them. */
void lp_sockets_forget_held(struct lp_sockets *sockets);
void lp_sockets_forget_bound(struct lp_sockets *sockets);

/* All that holds ports is known: the connections follow. May be called again for another try. */
void lp_sockets_begin(struct lp_sockets *sockets);
void lp_sockets_add(struct lp_sockets *sockets, const struct lp_socket *socket);

/*
 * The same, quicker. `seat` is NULL, or the same one for connections of the same addresses that
 * have one remote port (where they were opened) or one local port (where they were accepted).
 */
void lp_sockets_add_at(struct lp_sockets *sockets, const struct lp_socket *socket,
                       struct lp_seat *seat);

/* Whether somebody listens on the port. */
bool lp_sockets_listens(const struct lp_sockets *sockets, uint16_t port);

/* True where one more walk (lp_sockets_begin() again) is needed for exact counts. */
bool lp_sockets_recount(struct lp_sockets *sockets);

/* ---- a sample of the connections ----------------------------------------------------------- */

/* The pools as they are now, by number, and how many ports connect() may choose from. */
size_t lp_sockets_pools(const struct lp_sockets *sockets);
const struct lp_pool *lp_sockets_pool(const struct lp_sockets *sockets, size_t number);
uint32_t lp_sockets_usable(const struct lp_sockets *sockets);

/* One connection in `share` was added: what was counted becomes an estimate. */
void lp_sockets_estimate(struct lp_sockets *sockets, uint32_t share);

/*
 * All connections of one pool follow, by lp_sockets_add_to(): false for those of others, which are
 * left out.
 */
void lp_sockets_begin_pool(struct lp_sockets *sockets, size_t number);
bool lp_sockets_add_to(struct lp_sockets *sockets, size_t number, const struct lp_socket *socket,
                       struct lp_seat *seat);

/* Local addresses whose bind() figures were left out for want of room; 0 as a rule. */
size_t lp_sockets_binds_left_out(const struct lp_sockets *sockets);

/* No pool that was summed has more connections than this; 0: all are kept. */
uint32_t lp_sockets_dropped_bound(const struct lp_sockets *sockets);

/* Hands everything to the namespace. -ENOMEM, else 0. */
int lp_sockets_finish(struct lp_sockets *sockets);
