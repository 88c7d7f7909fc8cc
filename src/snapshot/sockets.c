/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "snapshot/listeners.h"
#include "snapshot/pools.h"

enum {
	BINDS_MAX = 256, /* local addresses with a port map each: 2 MiB */
	BINDS_SLOTS = 1024,
};

/* A port that an explicit bind holds. */
struct held {
	struct lp_address address;
	uint16_t port;
	bool v6only;
};

/* A local address and the ports of the range that connections use on it. */
struct bind_map {
	struct lp_address address;
	struct lp_port_map *taken;
};

struct lp_sockets {
	struct lp_netns *netns;
	const struct lp_port_map *reserved;
	struct lp_pools *pools;
	uint64_t seed;
	struct lp_sightings *sightings; /* or NULL */
	size_t index;                   /* of the namespace in them */
	bool sighted;                   /* some of its sockets are there */

	struct held *held;
	size_t n_held, room_held;
	size_t room_listeners;

	struct lp_port_map listening; /* a listener on any address */
	struct lp_port_map explicit;  /* a listener or bound socket on any address */
	struct lp_port_map closed;    /* connect() passes over it; if knows_closed */
	bool knows_closed, knows_taken;
	struct lp_port_map usable; /* connect() may choose it */
	struct lp_port_map taken;  /* a connection on any address */
	struct lp_port_map taken4; /* one that is in the way of 0.0.0.0 */
	struct lp_port_map taken6; /* one of which that is not told */
	uint32_t low, high;        /* the range; high < low when it is not known */

	struct bind_map binds[BINDS_MAX];
	size_t n_binds, binds_left_out;
	uint16_t slots[BINDS_SLOTS]; /* open addressing, index into binds + 1 */
	uint64_t delay_ms;           /* tcp_tw_reuse_delay */
};

int lp_sockets_new(struct lp_netns *netns, const struct lp_port_map *reserved,
                   struct lp_sockets **ret)
{
	_cleanup_(lp_sockets_freep) struct lp_sockets *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->netns = netns;
	s->reserved = reserved;
	s->seed = lp_hash_seed();
	s->low = 1;
	if (netns->range_low.known && netns->range_high.known) {
		s->low = (uint32_t)netns->range_low.n;
		s->high = (uint32_t)netns->range_high.n;
	}
	s->delay_ms = netns->tw_reuse_delay_ms.known ? netns->tw_reuse_delay_ms.n : 1000;
	int r = lp_pools_new(&s->pools);
	if (r < 0)
		return r;
	*ret = lp_take_ptr(s);
	return 0;
}

void lp_sockets_sight(struct lp_sockets *sockets, struct lp_sightings *sightings, size_t netns)
{
	sockets->sightings = sightings;
	sockets->index = netns;
}

static void forget_binds(struct lp_sockets *s)
{
	for (size_t i = 0; i < s->n_binds; i++)
		free(s->binds[i].taken);
	s->n_binds = s->binds_left_out = 0;
	memset(s->slots, 0, sizeof(s->slots));
}

void lp_sockets_free(struct lp_sockets *sockets)
{
	if (!sockets)
		return;
	forget_binds(sockets);
	lp_pools_free(sockets->pools);
	free(sockets->held);
	free(sockets);
}

int lp_sockets_bound(struct lp_sockets *sockets, const struct lp_address *address, uint16_t port,
                     bool v6only)
{
	if (!lp_array_grow(&sockets->held, &sockets->room_held, sockets->n_held,
	                   sizeof(*sockets->held)))
		return -ENOMEM;
	sockets->held[sockets->n_held++] =
	        (struct held){.address = *address, .port = port, .v6only = v6only};
	lp_port_set(&sockets->explicit, port);
	return 0;
}

int lp_sockets_listener(struct lp_sockets *sockets, const struct lp_listener *listener)
{
	struct lp_netns *netns = sockets->netns;
	if (!lp_array_grow(&netns->listeners, &sockets->room_listeners, netns->n_listeners,
	                   sizeof(*netns->listeners)))
		return -ENOMEM;
	netns->listeners[netns->n_listeners] = *listener;
	netns->listeners[netns->n_listeners++].reserved =
	        lp_port_get(sockets->reserved, listener->port);
	lp_port_set(&sockets->listening, listener->port);
	return lp_sockets_bound(sockets, &listener->address, listener->port, listener->v6only);
}

void lp_sockets_forget_held(struct lp_sockets *sockets)
{
	sockets->netns->n_listeners = 0;
	memset(&sockets->listening, 0, sizeof(sockets->listening));
	lp_sockets_forget_bound(sockets);
}

void lp_sockets_forget_bound(struct lp_sockets *sockets)
{
	const struct lp_netns *netns = sockets->netns;
	sockets->n_held = netns->n_listeners; /* each listener's comes first */
	memset(&sockets->explicit, 0, sizeof(sockets->explicit));
	for (size_t i = 0; i < netns->n_listeners; i++)
		lp_port_set(&sockets->explicit, netns->listeners[i].port);
}

void lp_sockets_know_closed(struct lp_sockets *sockets, bool knows)
{
	sockets->knows_closed = knows;
	memset(&sockets->closed, 0, sizeof(sockets->closed));
}

void lp_sockets_closed(struct lp_sockets *sockets, uint16_t port)
{
	lp_port_set(&sockets->closed, port);
}

static void forget_taken(struct lp_sockets *s)
{
	memset(&s->taken, 0, sizeof(s->taken));
	memset(&s->taken4, 0, sizeof(s->taken4));
	memset(&s->taken6, 0, sizeof(s->taken6));
	forget_binds(s);
}

void lp_sockets_know_taken(struct lp_sockets *sockets, bool knows)
{
	sockets->knows_taken = knows;
	forget_taken(sockets);
}

/* The ports that connect() passes over. */
static const struct lp_port_map *closed(const struct lp_sockets *s)
{
	return s->knows_closed ? &s->closed : &s->explicit;
}

static bool in_range(const struct lp_sockets *s, uint32_t port)
{
	return port >= s->low && port <= s->high;
}

void lp_sockets_begin(struct lp_sockets *sockets)
{
	struct lp_netns *netns = sockets->netns;
	lp_listeners_begin(netns);
	netns->sampled = 0;
	memset(netns->states, 0, sizeof(netns->states));
	memset(&netns->timers, 0, sizeof(netns->timers));
	netns->oldest_left_ms = LP_TIME_WAIT_S * 1000;
	memset(&sockets->usable, 0, sizeof(sockets->usable));
	for (uint32_t port = sockets->low; port <= sockets->high; port++)
		if (!lp_port_get(sockets->reserved, port) && !lp_port_get(closed(sockets), port))
			lp_port_set(&sockets->usable, port);
	if (!sockets->knows_taken)
		forget_taken(sockets);
	lp_pools_restart(sockets->pools);
	if (sockets->sighted)
		lp_sightings_forget(sockets->sightings, sockets->index);
	sockets->sighted = false;
}

/* The map of a local address, made at its first use; NULL where there is no room for it. */
static struct bind_map *bind_of(struct lp_sockets *s, const struct lp_address *address)
{
	size_t slot = lp_hash(s->seed, address, sizeof(*address)) % BINDS_SLOTS;
	for (; s->slots[slot]; slot = (slot + 1) % BINDS_SLOTS) {
		struct bind_map *map = &s->binds[s->slots[slot] - 1];
		if (lp_address_equal(&map->address, address))
			return map;
	}
	if (s->n_binds == BINDS_MAX) {
		s->binds_left_out++;
		return NULL;
	}
	struct bind_map *map = &s->binds[s->n_binds];
	*map = (struct bind_map){.address = *address, .taken = calloc(1, sizeof(*map->taken))};
	if (!map->taken)
		return NULL;
	s->slots[slot] = (uint16_t)++s->n_binds;
	return map;
}

static struct bind_map *bind_at(struct lp_sockets *s, const struct lp_address *address,
                                struct lp_seat *seat)
{
	if (seat && seat->bind)
		return &s->binds[seat->bind - 1];
	struct bind_map *map = bind_of(s, address);
	if (map && seat)
		seat->bind = (uint32_t)(map - s->binds) + 1;
	return map;
}

static void take_port(struct lp_sockets *s, const struct lp_address *address, uint16_t port,
                      enum lp_told v6only, struct lp_seat *seat)
{
	struct bind_map *map = bind_at(s, address, seat);
	if (map)
		lp_port_set(map->taken, port);
	lp_port_set(&s->taken, port);
	if (address->family == AF_INET || v6only == LP_NO)
		lp_port_set(&s->taken4, port);
	else if (v6only == LP_UNTOLD)
		lp_port_set(&s->taken6, port);
}

void lp_sockets_taken(struct lp_sockets *sockets, const struct lp_address *address, uint16_t port,
                      enum lp_told v6only)
{
	if (in_range(sockets, port))
		take_port(sockets, address, port, v6only, NULL);
}

/* Where a histogram of timers has it. */
static uint32_t second_of(uint32_t left_ms)
{
	uint32_t second = left_ms / 1000;
	return second < LP_TIME_WAIT_S ? second : LP_TIME_WAIT_S - 1;
}

static void count_timer(struct lp_netns *netns, uint32_t left_ms)
{
	netns->timers.left[second_of(left_ms)]++;
	if (left_ms < netns->oldest_left_ms)
		netns->oldest_left_ms = left_ms;
}

/* Saturates: a dump that saw a socket twice must not wrap a full pool round to an empty one. */
static void bump(uint16_t *count, bool by)
{
	if (*count < UINT16_MAX)
		*count = (uint16_t)(*count + by);
}

/* tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: what it asks of the TIME_WAIT. */
static bool is_aged(const struct lp_sockets *s, const struct lp_socket *socket)
{
	if (socket->timestamps == LP_NO)
		return false;
	if (socket->age_told)
		return socket->age_ms > s->delay_ms;
	return socket->left_ms + s->delay_ms < LP_TIME_WAIT_S * 1000;
}

static void count_in_pool(const struct lp_sockets *s, struct lp_pool *pool,
                          const struct lp_socket *socket)
{
	bump(&pool->states[socket->state], true);
	if (pool->key.side == LP_ACCEPTED)
		bump(&pool->low_ports, socket->remote_port < 1024);
	else
		bump(&pool->late_ports, (socket->local_port - s->low) & 1);
	if (socket->state != LP_TIME_WAIT)
		return;
	bump(&pool->left[second_of(socket->left_ms)], true);
	bump(&pool->aged, is_aged(s, socket));
	if (socket->left_ms < pool->oldest_left_ms)
		pool->oldest_left_ms = (uint16_t)socket->left_ms;
}

/* The pool that a connection counts in; NULL for none, or where pools are only summed. */
static struct lp_pool *pool_of(struct lp_sockets *s, const struct lp_socket *socket,
                               struct lp_seat *seat)
{
	bool accepted = lp_port_get(&s->listening, socket->local_port);
	if (!accepted && !lp_port_get(&s->usable, socket->local_port))
		return NULL;
	if (seat && seat->round == lp_pools_round(s->pools))
		return lp_pools_at(s->pools, seat->pool);
	struct lp_pool_key key = {
	        .local = socket->local,
	        .remote = socket->remote,
	        .port = accepted ? socket->local_port : socket->remote_port,
	        .side = accepted ? LP_ACCEPTED : LP_OPENED,
	};
	struct lp_pool *pool = lp_pools_get(s->pools, &key);
	if (pool && seat) {
		seat->round = lp_pools_round(s->pools);
		seat->pool = (uint32_t)lp_pools_number(s->pools, pool);
	}
	return pool;
}

static void take_into(struct lp_sockets *s, struct lp_pool *pool, const struct lp_socket *socket)
{
	if (s->sightings && socket->cookie) {
		lp_sightings_add(s->sightings, s->index, &pool->key, socket->cookie, socket->inode,
		                 socket->state);
		s->sighted = true;
	}
	count_in_pool(s, pool, socket);
}

void lp_sockets_add(struct lp_sockets *sockets, const struct lp_socket *socket)
{
	lp_sockets_add_at(sockets, socket, NULL);
}

void lp_sockets_add_at(struct lp_sockets *sockets, const struct lp_socket *socket,
                       struct lp_seat *seat)
{
	struct lp_netns *netns = sockets->netns;
	netns->states[socket->state]++;
	if (socket->state == LP_TIME_WAIT)
		count_timer(netns, socket->left_ms);
	if (socket->state == LP_SYN_RECV)
		lp_listeners_request(netns, &socket->local, socket->local_port);
	if (!sockets->knows_taken && in_range(sockets, socket->local_port))
		take_port(sockets, &socket->local, socket->local_port, socket->v6only, seat);
	struct lp_pool *pool = pool_of(sockets, socket, seat);
	if (pool)
		take_into(sockets, pool, socket);
}

bool lp_sockets_listens(const struct lp_sockets *sockets, uint16_t port)
{
	return lp_port_get(&sockets->listening, port);
}

bool lp_sockets_recount(struct lp_sockets *sockets)
{
	uint32_t ports = lp_port_count(&sockets->usable, sockets->low, sockets->high);
	return lp_pools_fix(sockets->pools, ports / 100);
}

/* ---- a sample ------------------------------------------------------------------------------ */

size_t lp_sockets_pools(const struct lp_sockets *sockets)
{
	return lp_pools_count(sockets->pools);
}

const struct lp_pool *lp_sockets_pool(const struct lp_sockets *sockets, size_t number)
{
	return lp_pools_at(sockets->pools, number);
}

uint32_t lp_sockets_usable(const struct lp_sockets *sockets)
{
	return lp_port_count(&sockets->usable, sockets->low, sockets->high);
}

void lp_sockets_estimate(struct lp_sockets *sockets, uint32_t share)
{
	struct lp_netns *netns = sockets->netns;
	netns->sampled = share;
	lp_listeners_forget_requests(netns);
	for (int state = 0; state < LP_STATES; state++)
		netns->states[state] *= share;
	for (int second = 0; second < LP_TIME_WAIT_S; second++)
		netns->timers.left[second] *= share;
	for (size_t i = 0; i < lp_pools_count(sockets->pools); i++)
		lp_pool_estimate(lp_pools_at(sockets->pools, i), share);
}

void lp_sockets_begin_pool(struct lp_sockets *sockets, size_t number)
{
	lp_pool_clear(lp_pools_at(sockets->pools, number));
}

bool lp_sockets_add_to(struct lp_sockets *sockets, size_t number, const struct lp_socket *socket,
                       struct lp_seat *seat)
{
	struct lp_pool *pool = pool_of(sockets, socket, seat);
	if (pool != lp_pools_at(sockets->pools, number))
		return false;
	take_into(sockets, pool, socket);
	return true;
}

uint32_t lp_sockets_dropped_bound(const struct lp_sockets *sockets)
{
	return lp_pools_dropped_bound(sockets->pools);
}

size_t lp_sockets_binds_left_out(const struct lp_sockets *sockets)
{
	return sockets->binds_left_out;
}

/*
 * Whether an explicit bind stands in the way of bind() to `address`: inet_rcv_saddr_equal() in
 * net/ipv4/inet_connection_sock.c with both wildcards matching.
 */
static bool conflicts(const struct held *held, const struct lp_address *address)
{
	bool wildcard = lp_address_is_any(&held->address);
	if (lp_address_is_any(address)) {
		if (address->family == AF_INET)
			return !held->v6only;
		return true;
	}
	if (address->family == AF_INET && held->address.family == AF_INET6)
		return wildcard && !held->v6only;
	if (address->family != held->address.family)
		return false;
	return wildcard || lp_address_equal(&held->address, address);
}

/* What bind(address, 0) finds: the ports of the range that are held there, and those in use. */
static void weigh_bind(const struct lp_sockets *s, const struct lp_address *address,
                       const struct lp_port_map *taken, struct lp_bind_address *ret)
{
	struct lp_port_map held = {0};
	for (size_t i = 0; i < s->n_held; i++)
		if (in_range(s, s->held[i].port) && conflicts(&s->held[i], address))
			lp_port_set(&held, s->held[i].port);
	bool any4 = address->family == AF_INET && lp_address_is_any(address);
	*ret = (struct lp_bind_address){.address = *address};
	for (uint32_t port = s->low; port <= s->high; port++) {
		if (lp_port_get(s->reserved, port))
			continue;
		bool six_alone = any4 && !lp_port_get(&s->taken4, port);
		bool untold = lp_port_get(&s->taken6, port);
		if (lp_port_get(&held, port)) {
			ret->held++;
		} else if (six_alone && (!untold || lp_port_get(&s->explicit, port))) {
			/* for IPv6 only; so is what such a listener accepts */
			continue;
		} else if (lp_port_get(taken, port)) {
			ret->taken++;
			ret->by_six += six_alone;
		}
	}
}

static int finish_binds(struct lp_sockets *s)
{
	for (size_t i = 0; i < s->n_held; i++)
		if (in_range(s, s->held[i].port) && !lp_address_is_any(&s->held[i].address))
			(void)bind_of(s, &s->held[i].address);

	struct lp_netns *netns = s->netns;
	netns->binds = calloc(s->n_binds + 2, sizeof(*netns->binds));
	if (!netns->binds)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_binds; i++)
		weigh_bind(s, &s->binds[i].address, s->binds[i].taken,
		           &netns->binds[netns->n_binds++]);
	struct lp_address any = lp_address_any(AF_INET);
	weigh_bind(s, &any, &s->taken, &netns->binds[netns->n_binds++]);
	if (netns->has_ipv6) {
		any = lp_address_any(AF_INET6);
		weigh_bind(s, &any, &s->taken, &netns->binds[netns->n_binds++]);
	}
	return 0;
}

static void count_held(const struct lp_sockets *s, uint32_t port)
{
	if (!lp_port_get(closed(s), port) || lp_port_get(s->reserved, port))
		return;
	s->netns->held++;
	s->netns->held_by_connections += !lp_port_get(&s->explicit, port);
}

int lp_sockets_finish(struct lp_sockets *sockets)
{
	struct lp_netns *netns = sockets->netns;
	for (uint32_t port = sockets->low; port <= sockets->high; port++)
		count_held(sockets, port);
	netns->held_exact = sockets->knows_closed;
	int r = finish_binds(sockets);
	if (r < 0)
		return r;
	netns->n_pools = lp_pools_take(sockets->pools, &netns->pools, &netns->summed_pools,
	                               &netns->summed_sockets);
	return 0;
}
