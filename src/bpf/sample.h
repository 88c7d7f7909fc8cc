/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What sample.bpf.c and its user side, src/kernel/bpf_reader.c, say to each other. */

#include <linux/types.h>

/*
 * Buckets are walked in blocks of so many side by side, a cache line of their heads: the memory's
 * delays overlap.
 */
#define LP_SAMPLE_BLOCK 8

/* A call ends at the block that brings it beyond FULL; what a block may bring more has room. */
#define LP_SAMPLE_FULL 4096
#define LP_SAMPLE_ROOM 8192 /* a power of two */

/* A call walks at most so many: it holds up the kernel's reclaiming of memory (RCU). */
#define LP_SAMPLE_BLOCKS 1024 /* of the table of connections */
#define LP_SAMPLE_PORTS  8192 /* buckets of the table of bound ports */

/* lp_sample_here: where the calling thread's namespace keeps its sockets. */
struct lp_sample_place {
	__u64 net;     /* address of the namespace: only to compare */
	__u64 ehash;   /* table of connections; shared by most namespaces */
	__u64 bhash;   /* table of bound ports; shared by all */
	__u64 jiffies; /* now … */
	__u64 now_ns;  /* … by CLOCK_MONOTONIC */
	__u32 n_ehash; /* buckets, a power of two */
	__u32 n_bhash;
	__u32 inode;
	__u32 has_age; /* the kernel keeps when a TIME_WAIT began, in ms */
};
_Static_assert(sizeof(struct lp_sample_place) == 56, "the same for both sides");

/* lp_sample_walk: buckets of a table of connections; results are records in the map. */
struct lp_sample_walk {
	__u64 ehash;
	__u32 from;   /* bucket, a multiple of LP_SAMPLE_BLOCK */
	__u32 blocks; /* how many to walk; then: how many were */
	/* results */
	__u32 records;
	__u32 again; /* blocks walked again because a chain changed */
	__u32 torn;  /* blocks that changed each time, or hold too many: not wholly read */
	__u32 moved; /* sockets that became another one while they were read: left out */
};
_Static_assert(sizeof(struct lp_sample_walk) == 32, "the same for both sides");

/* lp_sample_ports: buckets of the table of bound ports; results are ports in the map. */
struct lp_sample_ports {
	__u64 bhash;
	__u32 n_bhash;
	__u32 from;
	/* results */
	__u32 next; /* bucket to go on with; n_bhash at the end */
	__u32 ports;
	__u32 torn; /* a bucket holds too many */
	__u32 zero;
};
_Static_assert(sizeof(struct lp_sample_ports) == 32, "the same for both sides");

enum {
	LP_SAMPLE_V6ONLY = 1 << 0,
	LP_SAMPLE_TIMESTAMPS = 1 << 1, /* a TIME_WAIT that had them on */
};

/* A socket of a table of connections. Addresses in network order, ports in host order. */
struct lp_sample_record {
	__u64 net;
	__u8 local[16], remote[16]; /* IPv4: the first four bytes */
	__u16 local_port, remote_port;
	__u16 family;
	__u8 state; /* FIN_WAIT2 too where it is kept as a TIME_WAIT */
	__u8 flags;
	__u32 ifindex;
	__s32 left;   /* TIME_WAIT: jiffies until it goes away */
	__u32 age_ms; /* TIME_WAIT: how old it is, where the kernel tells */
	__u32 hash;
};
_Static_assert(sizeof(struct lp_sample_record) == 64, "the same for both sides");

/* A port that connect() does not choose: its bucket is an explicit bind's. */
struct lp_sample_port {
	__u64 net;
	__u32 port;
	__u32 zero;
};
_Static_assert(sizeof(struct lp_sample_port) == 16, "the same for both sides");

/* The one entry of the map. */
struct lp_sample_out {
	union {
		struct lp_sample_record records[LP_SAMPLE_ROOM];
		struct lp_sample_port ports[LP_SAMPLE_ROOM];
	};
	/* the program's own: scalars kept here do not multiply the verifier's states */
	__u64 nodes[LP_SAMPLE_ROOM];
	__u64 lanes[LP_SAMPLE_BLOCK], next[LP_SAMPLE_BLOCK];
	__u32 n, mark;
	__u32 i, touched;
};
