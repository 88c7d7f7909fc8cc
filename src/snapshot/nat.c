/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/nat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/hash.h"

enum { SLOTS = 4 * LP_NAT_MAX, NONE = 0 };
_Static_assert(LP_NAT_MAX < UINT16_MAX, "index fits 16 bits");

struct lp_nats {
	uint64_t seed;
	struct lp_nat_pool *items;
	size_t n, room, maps;
	uint32_t dropped_bound; /* no dropped one had more entries */
	uint16_t slots[SLOTS];  /* open addressing; index into items + 1 */
};

struct lp_nats *lp_nats_new(void)
{
	struct lp_nats *nats = calloc(1, sizeof(*nats));
	if (nats)
		nats->seed = lp_hash_seed();
	return nats;
}

void lp_nat_pools_free(struct lp_nat_pool *pools, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(pools[i].map);
	free(pools);
}

void lp_nats_free(struct lp_nats *nats)
{
	if (!nats)
		return;
	lp_nat_pools_free(nats->items, nats->n);
	free(nats);
}

/* ---- the table ----------------------------------------------------------------------------- */

static uint16_t *find_slot(struct lp_nats *nats, const struct lp_nat_key *key)
{
	size_t slot = lp_hash(nats->seed, key, sizeof(*key)) % SLOTS;
	while (nats->slots[slot] != NONE &&
	       memcmp(&nats->items[nats->slots[slot] - 1].key, key, sizeof(*key)) != 0)
		slot = (slot + 1) % SLOTS;
	return &nats->slots[slot];
}

static void index_again(struct lp_nats *nats)
{
	memset(nats->slots, 0, sizeof(nats->slots));
	for (size_t i = 0; i < nats->n; i++)
		*find_slot(nats, &nats->items[i].key) = (uint16_t)(i + 1);
}

static int larger_first(const void *x, const void *y)
{
	const struct lp_nat_pool *a = x, *b = y;
	uint32_t m = a->entries + a->missed, n = b->entries + b->missed;
	return m != n ? (m > n ? -1 : 1) : memcmp(&a->key, &b->key, sizeof(a->key));
}

static void drop_smaller_half(struct lp_nats *nats)
{
	qsort(nats->items, nats->n, sizeof(*nats->items), larger_first);
	size_t kept = nats->n / 2;
	nats->dropped_bound = nats->items[kept].entries + nats->items[kept].missed;
	for (size_t i = kept; i < nats->n; i++) {
		nats->maps -= nats->items[i].map != NULL;
		free(nats->items[i].map);
	}
	nats->n = kept;
	index_again(nats);
}

/* NULL when memory is short. */
static struct lp_nat_pool *get(struct lp_nats *nats, const struct lp_nat_key *key)
{
	uint16_t *slot = find_slot(nats, key);
	if (*slot != NONE)
		return &nats->items[*slot - 1];
	if (nats->n == LP_NAT_MAX) {
		drop_smaller_half(nats);
		slot = find_slot(nats, key);
	}
	if (!lp_array_grow(&nats->items, &nats->room, nats->n, sizeof(*nats->items)))
		return NULL;
	struct lp_nat_pool *pool = &nats->items[nats->n++];
	*pool = (struct lp_nat_pool){
	        .key = *key, .missed = nats->dropped_bound, .client_low = UINT16_MAX};
	*slot = (uint16_t)nats->n;
	return pool;
}

/* ---- one pool ------------------------------------------------------------------------------ */

static void count_client(struct lp_nat_client clients[LP_NAT_CLIENTS],
                         const struct lp_address *address)
{
	struct lp_nat_client *least = &clients[0];
	for (size_t i = 0; i < LP_NAT_CLIENTS; i++) {
		struct lp_nat_client *client = &clients[i];
		if (client->ports && lp_address_equal(&client->address, address)) {
			client->ports++;
			return;
		}
		if (client->ports < least->ports)
			least = client;
	}
	*least = (struct lp_nat_client){
	        .address = *address, .ports = least->ports + 1, .missed = least->ports};
}

static void map_few(struct lp_nat_map *map, const struct lp_nat_few *few)
{
	lp_port_set(&map->used, few->port);
	if (few->closing)
		lp_port_set(&map->closing, few->port);
	count_client(map->clients, &few->client);
}

/* Gives the pool a map once it has more than a few ports, while there is one to give. */
static int grow(struct lp_nats *nats, struct lp_nat_pool *pool)
{
	if (pool->entries != LP_NAT_FEW || nats->maps == LP_NAT_MAPS)
		return 0;
	pool->map = calloc(1, sizeof(*pool->map));
	if (!pool->map)
		return -ENOMEM;
	nats->maps++;
	for (unsigned i = 0; i < LP_NAT_FEW; i++)
		map_few(pool->map, &pool->few[i]);
	return 0;
}

static void put_port(struct lp_nat_pool *pool, const struct lp_conntrack_entry *entry)
{
	uint16_t own = entry->original.from_port;
	struct lp_nat_few port = {
	        .client = lp_address_make(entry->family, entry->original.from, 0),
	        .port = entry->reply.to_port,
	        .closing = entry->state >= LP_CT_TIME_WAIT && entry->status & LP_CT_SRC_NAT,
	};
	if (pool->map)
		map_few(pool->map, &port);
	else if (pool->entries < LP_NAT_FEW)
		pool->few[pool->entries] = port;
	pool->entries++;
	pool->translated += (entry->status & LP_CT_SRC_NAT) != 0;
	pool->client_low = own < pool->client_low ? own : pool->client_low;
	pool->client_high = own > pool->client_high ? own : pool->client_high;
}

int lp_nats_add(struct lp_nats *nats, const struct lp_conntrack_entry *entry)
{
	if (entry->protocol != IPPROTO_TCP ||
	    (entry->family != AF_INET && entry->family != AF_INET6))
		return 0;
	struct lp_nat_key key = {
	        .translated = lp_address_make(entry->family, entry->reply.to, 0),
	        .remote = lp_address_make(entry->family, entry->reply.from, 0),
	        .remote_port = entry->reply.from_port,
	};
	struct lp_nat_pool *pool = get(nats, &key);
	if (!pool)
		return -ENOMEM;
	int r = grow(nats, pool);
	if (r == 0)
		put_port(pool, entry);
	return r;
}

size_t lp_nats_take(struct lp_nats *nats, struct lp_nat_pool **ret)
{
	size_t kept = 0;
	for (size_t i = 0; i < nats->n; i++) {
		if (nats->items[i].translated)
			nats->items[kept++] = nats->items[i];
		else
			free(nats->items[i].map);
	}
	nats->n = nats->room = 0;
	if (!kept) {
		free(nats->items);
		nats->items = NULL;
	}
	*ret = lp_take_ptr(nats->items);
	return kept;
}

/* ---- what is in it ------------------------------------------------------------------------- */

bool lp_nat_is_whole(const struct lp_nat_pool *pool)
{
	return !pool->missed && (pool->map || pool->entries <= LP_NAT_FEW);
}

static unsigned few_of(const struct lp_nat_pool *pool)
{
	return pool->entries < LP_NAT_FEW ? pool->entries : LP_NAT_FEW;
}

bool lp_nat_is_used(const struct lp_nat_pool *pool, uint16_t port)
{
	if (pool->map)
		return lp_port_get(&pool->map->used, port);
	for (unsigned i = 0; i < few_of(pool); i++)
		if (pool->few[i].port == port)
			return true;
	return false;
}

bool lp_nat_is_closing(const struct lp_nat_pool *pool, uint16_t port)
{
	if (pool->map)
		return lp_port_get(&pool->map->closing, port);
	for (unsigned i = 0; i < few_of(pool); i++)
		if (pool->few[i].port == port)
			return pool->few[i].closing;
	return false;
}

void lp_nat_count(const struct lp_nat_pool *pool, uint32_t low, uint32_t high, uint32_t *used,
                  uint32_t *closing)
{
	*used = *closing = 0;
	if (pool->map) {
		*used = lp_port_count(&pool->map->used, low, high);
		*closing = lp_port_count(&pool->map->closing, low, high);
		return;
	}
	for (unsigned i = 0; i < few_of(pool); i++) {
		bool inside = pool->few[i].port >= low && pool->few[i].port <= high;
		*used += inside;
		*closing += inside && pool->few[i].closing;
	}
	/* those that have no place here are somewhere in the range */
	*used += pool->entries - few_of(pool);
}

static int most_first(const void *x, const void *y)
{
	const struct lp_nat_client *a = x, *b = y;
	if (a->ports != b->ports)
		return a->ports > b->ports ? -1 : 1;
	return memcmp(&a->address, &b->address, sizeof(a->address));
}

size_t lp_nat_clients(const struct lp_nat_pool *pool, struct lp_nat_client ret[LP_NAT_CLIENTS])
{
	struct lp_nat_client few[LP_NAT_CLIENTS] = {0};
	const struct lp_nat_client *clients = pool->map ? pool->map->clients : few;
	for (unsigned i = 0; !pool->map && i < few_of(pool); i++)
		count_client(few, &pool->few[i].client);
	size_t n = 0;
	for (size_t i = 0; i < LP_NAT_CLIENTS; i++)
		if (clients[i].ports)
			ret[n++] = clients[i];
	qsort(ret, n, sizeof(*ret), most_first);
	return n;
}
