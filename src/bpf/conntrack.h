/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What conntrack.bpf.c and its user side, src/kernel/bpf_conntrack.c, say to each other. */

#include <linux/types.h>

/* A call ends at the bucket that brings it beyond FULL; what a bucket may bring more has room. */
#define LP_TRACK_FULL 4096
#define LP_TRACK_ROOM 8192 /* a power of two */

/* A call walks at most so many buckets: it holds up the kernel's reclaiming of memory (RCU). */
#define LP_TRACK_BUCKETS 8192

/* So far back from an entry its bucket's head is looked for. */
#define LP_TRACK_BACK 64

/* lp_track_find: an entry of the calling thread's namespace that is known to be there. */
struct lp_track_find {
	__u8 from[16], to[16];
	__u16 from_port, to_port; /* network order */
	__u8 family, protocol;
	__u16 zero;
	/* results */
	__s32 error; /* 0: it was found */
	__u32 bucket;
	__u64 net;                 /* address of the namespace: only to compare */
	__u64 jiffies;             /* now … */
	__u64 now_ns;              /* … by CLOCK_MONOTONIC */
	__u64 back[LP_TRACK_BACK]; /* what points at it, at what points at it …: one is the head */
};
_Static_assert(sizeof(struct lp_track_find) == 72 + 8 * LP_TRACK_BACK, "the same for both sides");

/* lp_track_walk: buckets of the table; results are records in the map. */
struct lp_track_walk {
	__u64 table;
	__u64 net;
	__u32 from;    /* bucket */
	__u32 buckets; /* how many to walk; then: how many were */
	/* results */
	__u32 records;
	__u32 torn; /* buckets that changed each time, or hold too many: not wholly read */
};
_Static_assert(sizeof(struct lp_track_walk) == 32, "the same for both sides");

/* Addresses and ports in network order. */
struct lp_track_record {
	__u8 from[16], to[16], reply_from[16], reply_to[16];
	__u16 from_port, to_port, reply_from_port, reply_to_port;
	__u32 status;
	__s32 left; /* jiffies */
	__u8 family, protocol, state, zero[5];
};
_Static_assert(sizeof(struct lp_track_record) == 88, "the same for both sides");

/* The one entry of the map. */
struct lp_track_out {
	struct lp_track_record records[LP_TRACK_ROOM];
	struct lp_track_find find;
	/* the program's own: scalars kept here do not multiply the verifier's states */
	__u64 node;
	__u32 n, mark, i, tries;
};
