/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
	SLOTS = 4 * LP_TALLY_MAX, /* a power of two */
	NONE = 0,
};
_Static_assert(LP_TALLY_MAX < UINT16_MAX, "index fits 16 bits");

struct lp_tally {
	uint64_t seed;
	size_t n;
	uint32_t dropped_bound; /* no dropped one had more */
	size_t last;            /* one comes often after itself */
	uint16_t slots[SLOTS];  /* open addressing; index into items + 1 */
	struct lp_tally_item items[LP_TALLY_MAX];
};

struct lp_tally *lp_tally_new(void)
{
	struct lp_tally *tally = calloc(1, sizeof(*tally));
	if (tally)
		tally->seed = lp_hash_seed();
	return tally;
}

void lp_tally_free(struct lp_tally *tally)
{
	free(tally);
}

static uint16_t *find_slot(struct lp_tally *tally, const struct lp_address *address)
{
	size_t slot = lp_hash(tally->seed, address, sizeof(*address)) % SLOTS;
	while (tally->slots[slot] != NONE &&
	       !lp_address_equal(&tally->items[tally->slots[slot] - 1].address, address))
		slot = (slot + 1) % SLOTS;
	return &tally->slots[slot];
}

static uint64_t weight(const struct lp_tally_item *item)
{
	return (uint64_t)item->n + item->missed;
}

static int larger_first(const void *x, const void *y)
{
	const struct lp_tally_item *a = x, *b = y;
	if (weight(a) != weight(b))
		return weight(a) > weight(b) ? -1 : 1;
	return memcmp(&a->address, &b->address, sizeof(a->address));
}

static void index_again(struct lp_tally *tally)
{
	memset(tally->slots, 0, sizeof(tally->slots));
	for (size_t i = 0; i < tally->n; i++)
		*find_slot(tally, &tally->items[i].address) = (uint16_t)(i + 1);
	tally->last = 0;
}

static void drop_smaller_half(struct lp_tally *tally)
{
	qsort(tally->items, tally->n, sizeof(*tally->items), larger_first);
	tally->n /= 2;
	uint64_t most = weight(&tally->items[tally->n]);
	tally->dropped_bound = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
	index_again(tally);
}

void lp_tally_add(struct lp_tally *tally, const struct lp_address *address)
{
	struct lp_tally_item *last = &tally->items[tally->last];
	if (tally->n && lp_address_equal(&last->address, address)) {
		last->n++;
		return;
	}
	uint16_t *slot = find_slot(tally, address);
	if (*slot == NONE && tally->n == LP_TALLY_MAX) {
		drop_smaller_half(tally);
		slot = find_slot(tally, address);
	}
	if (*slot == NONE) {
		tally->items[tally->n++] =
		        (struct lp_tally_item){.address = *address, .missed = tally->dropped_bound};
		*slot = (uint16_t)tally->n;
	}
	tally->last = *slot - 1U;
	tally->items[tally->last].n++;
}

size_t lp_tally_top(struct lp_tally *tally, struct lp_tally_item *ret, size_t room)
{
	qsort(tally->items, tally->n, sizeof(*tally->items), larger_first);
	index_again(tally);
	size_t n = tally->n < room ? tally->n : room;
	memcpy(ret, tally->items, n * sizeof(*ret));
	return n;
}
