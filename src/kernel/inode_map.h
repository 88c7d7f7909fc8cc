/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which inodes were seen, numbered 0, 1, 2 … in the order in which they came. */
struct lp_inode_map {
	struct lp_inode_slot {
		uint64_t inode, device;
		size_t number; /* + 1: 0 is an empty slot */
	} * slots;
	size_t n, room; /* room is a power of two */
};

/* The number of an inode; a new one gets the next. -ENOMEM, or 1 if it is new, 0 if not. */
int lp_inode_map_add(struct lp_inode_map *map, uint64_t inode, uint64_t device, size_t *ret);
bool lp_inode_map_has(const struct lp_inode_map *map, uint64_t inode, uint64_t device);
void lp_inode_map_done(struct lp_inode_map *map);
