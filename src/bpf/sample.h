/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What sample.bpf.c and its user side, src/kernel/bpf_reader.c, say to each other. */

#include <linux/types.h>

/* Buckets are sampled in blocks of so many: a cache line of their heads. */
#define LP_SAMPLE_BLOCK 8

/*
 * Where all are walked, so many blocks are at once, at most: the memory's delays overlap. A power
 * of two.
 */
#define LP_SAMPLE_BATCH 16

/*
 * A call ends with what brings it beyond FULL. That may bring FULL more, and a node of each of its
 * buckets.
 */
#define LP_SAMPLE_FULL 4000
#define LP_SAMPLE_ROOM 8192 /* a power of two */
_Static_assert(2 * LP_SAMPLE_FULL + LP_SAMPLE_BATCH * LP_SAMPLE_BLOCK <= LP_SAMPLE_ROOM,
               "has room");

#define LP_SAMPLE_LANES 8 /* steps of a loop that are written out */

/* A call walks at most so many: it holds up the kernel's reclaiming of memory (RCU). */
#define LP_SAMPLE_BLOCKS 1024 /* of the table of connections */
#define LP_SAMPLE_PORTS  8192 /* buckets of the table of bound ports */

/* Tuples that are told once, and by their slot from then on. A power of two. */
#define LP_SAMPLE_SLOTS 16384

/* So many may walk at once, each with results of its own. */
#define LP_SAMPLE_WORKERS 2

/* What lp_sample is to do: its second argument. The first one is the worker's number. */
enum { LP_SAMPLE_WALK, LP_SAMPLE_BOUND_PORTS, LP_SAMPLE_NAMESPACES };

/* Where the calling thread's namespace keeps its sockets. */
struct lp_sample_place {
	__u64 net;     /* address of the namespace: only to compare */
	__u64 ehash;   /* table of connections; shared by most namespaces */
	__u64 bhash;   /* table of bound ports; shared by all */
	__u64 jiffies; /* now … */
	__u64 now_ns;  /* … by CLOCK_MONOTONIC */
	__u32 n_ehash; /* buckets, a power of two */
	__u32 n_bhash;
	__u32 inode;
	__u32 has_age;       /* the kernel keeps when a TIME_WAIT began, in ms */
	__u32 has_addresses; /* ports are listed by local address too (Linux 6.9) */
	__u32 zero;
};
_Static_assert(sizeof(struct lp_sample_place) == 64, "the same for both sides");

/*
 * LP_SAMPLE_WALK: blocks of a table of connections, one at a random place of each stratum. Results
 * are records and tuples in the map.
 */
struct lp_sample_walk {
	__u64 ehash;
	__u64 seed;    /* of the pass: of the places in the strata, and of the keys of tuples */
	__u32 mask;    /* buckets of the table, less one */
	__u32 stride;  /* blocks in a stratum; 1: every block is walked */
	__u32 from;    /* the first stratum */
	__u32 strata;  /* how many to walk; then: how many were */
	__u32 pool;    /* what `base` a tuple must have … */
	__u32 is_pool; /* … if only those are wanted */
	__u32 ids;     /* also tell who each socket is: enum below */
	__u32 worker;
	/* results */
	__u32 records;
	__u32 tuples;
	__u32 again;     /* blocks walked again because a chain changed */
	__u32 torn;      /* blocks that changed each time, or hold too many: not wholly read */
	__u32 moved;     /* sockets that became another one while they were read: left out */
	__u32 scattered; /* sockets whose `base` is not that of their tuple */
};
_Static_assert(sizeof(struct lp_sample_walk) == 72, "the same for both sides");

/* LP_SAMPLE_BOUND_PORTS: buckets of the table of bound ports; results are ports in the map. */
struct lp_sample_ports {
	__u64 bhash;
	__u32 n_bhash;
	__u32 from;
	__u32 addresses; /* also tell which ports are in use on which address */
	/* results */
	__u32 next; /* bucket to go on with; n_bhash at the end */
	__u32 ports;
	__u32 torn; /* a bucket holds too many, or changed */
};
_Static_assert(sizeof(struct lp_sample_ports) == 32, "the same for both sides");

/* LP_SAMPLE_NAMESPACES: every network namespace; results are in the map. */
struct lp_sample_nets {
	__u64 reserved_of; /* one of them: only its reserved ports are read, as a bitmap */
	__u32 here;        /* only the place of the calling thread's namespace is told */
	/* results */
	__u32 nets;
	__u32 torn; /* the list changed, or is longer than there is room for */
	__u32 zero;
	struct lp_sample_place place; /* of the calling thread's namespace */
};
_Static_assert(sizeof(struct lp_sample_nets) == 88, "the same for both sides");

/* A network namespace: where its sockets are, and what its sysctls say. */
struct lp_sample_net {
	__u64 net, ehash, bhash;
	__u32 n_ehash, n_bhash;
	__u32 inode;
	__u32 time_wait; /* as sockstat counts them */
	__u32 max_tw_buckets;
	__u32 tw_reuse_delay_ms; /* if has_delay */
	__u16 low, high;         /* ip_local_port_range */
	__u8 tw_reuse, timestamps, has_delay, has_reserved;
	__u32 cookie; /* low half; 0: the kernel has none */
	__u32 zero;
};
_Static_assert(sizeof(struct lp_sample_net) == 64, "the same for both sides");

enum {
	LP_SAMPLE_NEW = 1 << 0, /* the slot is another tuple's from here on: the next of `tuples` */
	LP_SAMPLE_V6ONLY = 1 << 1,
	LP_SAMPLE_TIMESTAMPS = 1 << 2, /* a TIME_WAIT that had them on */
	LP_SAMPLE_BY_LOCAL = 1 << 3, /* the tuple's sockets have one local port, else one remote */
};

/* A socket of a table of connections. Ports in host order. */
struct lp_sample_record {
	__u16 slot;
	__u16 local_port, remote_port;
	__u16 left;   /* TIME_WAIT: jiffies until it goes away */
	__u16 age_ms; /* TIME_WAIT: how old it is, where the kernel tells; 65535: or older */
	__u8 state;   /* FIN_WAIT2 too where it is kept as a TIME_WAIT */
	__u8 flags;
};
_Static_assert(sizeof(struct lp_sample_record) == 12, "the same for both sides");

enum { LP_SAMPLE_NO_IDS, LP_SAMPLE_LIVE_IDS, LP_SAMPLE_ALL_IDS /* of TIME_WAITs too */ };

/* Who a socket is. */
struct lp_sample_id {
	__u64 cookie; /* where it has none yet, a number that no cookie reaches */
	__u64 inode;  /* 0: no process holds it */
};
_Static_assert(sizeof(struct lp_sample_id) == 16, "the same for both sides");

/* What the sockets of a slot have in common. Addresses in network order. */
struct lp_sample_tuple {
	__u64 net;
	__u8 local[16], remote[16]; /* IPv4: the first four bytes */
	__u32 ifindex;
	__u32 base; /* hash less local port: since Linux 6.15 the same for a whole pool */
	__u16 family;
	__u16 flags;
	__u32 zero;
};
_Static_assert(sizeof(struct lp_sample_tuple) == 56, "the same for both sides");

enum {
	LP_SAMPLE_HELD = 1 << 0,      /* connect() does not choose the port: an explicit bind's */
	LP_SAMPLE_SIX_KNOWN = 1 << 1, /* whether its sockets are for IPv6 only is known … */
	LP_SAMPLE_SIX_ALONE = 1 << 2, /* … and they all are */
	LP_SAMPLE_BOUND = 1 << 3,     /* one of its sockets is bound and not connected */
	LP_SAMPLE_LISTENS = 1 << 4,   /* one of its sockets listens, or may */
};

/* A port that somebody holds (HELD, no address), or that is in use on an address. */
struct lp_sample_port {
	__u64 net;
	__u8 address[16]; /* IPv4 is mapped */
	__u32 ifindex;
	__u16 port;
	__u16 flags;
};
_Static_assert(sizeof(struct lp_sample_port) == 32, "the same for both sides");

/*
 * The entries of the map, one a worker: what is asked stands here, and the answer.
 */
struct lp_sample_out {
	union {
		struct lp_sample_walk walk;
		struct lp_sample_ports ports;
		struct lp_sample_nets nets;
	} asked;
	/* of the caller: ports that tell a tuple by their being local: those of listeners */
	__u64 by_local[1024];
	union {
		struct {
			struct lp_sample_record records[LP_SAMPLE_ROOM];
			struct lp_sample_id ids[LP_SAMPLE_ROOM]; /* if asked for */
			struct lp_sample_tuple tuples[LP_SAMPLE_ROOM];
		};
		struct lp_sample_port ports[LP_SAMPLE_ROOM];
		struct lp_sample_net nets[LP_SAMPLE_ROOM];
		__u64 reserved[1024];
	};
	/* the program's own: scalars kept here do not multiply the verifier's states */
	struct {
		__u64 key;
		__u32 base, zero;
	} slots[LP_SAMPLE_SLOTS];
	__u64 socks[LP_SAMPLE_ROOM + LP_SAMPLE_LANES], next[LP_SAMPLE_ROOM + LP_SAMPLE_LANES];
	__u64 lanes[2], ends;
	volatile __u64 net;
	__u64 seed, jiffies;
	__u32 now_ms, want_ids;
	__u32 n, mark, tuple;
	__u32 i, j, k, owners, held;
	__u32 looked, batch, tries;
	__u32 moved, scattered;
};
