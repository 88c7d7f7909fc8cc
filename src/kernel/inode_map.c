/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/inode_map.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_ROOM = 64 };

static struct lp_inode_slot *find(const struct lp_inode_map *map, uint64_t inode, uint64_t device)
{
	/* inodes of namespaces are numbered one by one: the product spreads them */
	size_t at = (size_t)((inode ^ device << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
	for (;; at++) {
		struct lp_inode_slot *slot = &map->slots[at & (map->room - 1)];
		if (!slot->number || (slot->inode == inode && slot->device == device))
			return slot;
	}
}

static int grow(struct lp_inode_map *map)
{
	struct lp_inode_map more = {.room = map->room ? map->room * 2 : FIRST_ROOM, .n = map->n};
	more.slots = calloc(more.room, sizeof(*more.slots));
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->room; i++) {
		const struct lp_inode_slot *old = &map->slots[i];
		if (old->number)
			*find(&more, old->inode, old->device) = *old;
	}
	free(map->slots);
	*map = more;
	return 0;
}

int lp_inode_map_add(struct lp_inode_map *map, uint64_t inode, uint64_t device, size_t *ret)
{
	if (map->n >= map->room / 2) {
		int r = grow(map);
		if (r < 0)
			return r;
	}
	struct lp_inode_slot *slot = find(map, inode, device);
	int is_new = !slot->number;
	if (is_new)
		*slot = (struct lp_inode_slot){inode, device, ++map->n};
	*ret = slot->number - 1;
	return is_new;
}

bool lp_inode_map_has(const struct lp_inode_map *map, uint64_t inode, uint64_t device)
{
	return map->n > 0 && find(map, inode, device)->number > 0;
}

void lp_inode_map_done(struct lp_inode_map *map)
{
	free(map->slots);
	*map = (struct lp_inode_map){0};
}
