/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What drops.bpf.c and its user side, src/kernel/trace_netfilter.c, say to each other. */

#include <linux/types.h>

/* Places in namespaces. */
#define LP_DROPS_PLACES 1024

/* Where a packet was dropped. */
struct lp_drops_place {
	__u64 location;     /* the address in the kernel that dropped it */
	__u32 netns;        /* inode; 0: not known */
	__u32 netns_cookie; /* low half */
};
_Static_assert(sizeof(struct lp_drops_place) == 16, "the same for both sides");
