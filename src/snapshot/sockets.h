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

/* Forgets listeners and bound sockets, or the latter alone, for another try at reading them. */
void lp_sockets_forget_held(struct lp_sockets *sockets);
void lp_sockets_forget_bound(struct lp_sockets *sockets);

/* All that holds ports is known: the connections follow. May be called again for another try. */
void lp_sockets_begin(struct lp_sockets *sockets);
void lp_sockets_add(struct lp_sockets *sockets, const struct lp_socket *socket);

/* True where one more walk (lp_sockets_begin() again) is needed for exact counts. */
bool lp_sockets_recount(struct lp_sockets *sockets);

/* Local addresses whose bind() figures were left out for want of room; 0 as a rule. */
size_t lp_sockets_binds_left_out(const struct lp_sockets *sockets);

/* No pool that was summed has more connections than this; 0: all are kept. */
uint32_t lp_sockets_dropped_bound(const struct lp_sockets *sockets);

/* Hands everything to the namespace. -ENOMEM, else 0. */
int lp_sockets_finish(struct lp_sockets *sockets);
