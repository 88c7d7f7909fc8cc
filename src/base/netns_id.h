/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Which network namespace. The kernel gives the inode of one that ended to the next one that is
 * made; a cookie it gives once.
 */
struct lp_netns_id {
	uint64_t inode;  /* 0 where /proc does not tell the own one */
	uint32_t cookie; /* the low half of what SO_NETNS_COOKIE tells; 0: not known */
};

/* As far as is known. */
static inline bool lp_netns_id_is(struct lp_netns_id a, struct lp_netns_id b)
{
	return a.inode == b.inode && (!a.cookie || !b.cookie || a.cookie == b.cookie);
}
