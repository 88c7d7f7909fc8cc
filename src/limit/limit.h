/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A limit reads a snapshot and says how much of something is used, how much there is, and how many
 * more the kernel gives before it refuses. One file a kind; lp_limit_kinds lists them.
 */

#include "snapshot/snapshot.h"

/* pressure is in permyriad: 0 to LP_FULL. */
enum { LP_FULL = 10000 };

/* A limit of the whole machine has no namespace. */
#define LP_NO_NETNS SIZE_MAX

/* What a figure takes for granted because sock_diag can't show it. Bits of lp_limit.assumed. */
enum lp_assumption {
	/* the ports of connections were chosen by connect(), not by bind() before it */
	LP_ASSUME_PORTS_BY_CONNECT = 1 << 0,
	/* a TIME_WAIT had timestamps on, because the namespace has them on now */
	LP_ASSUME_TIMESTAMPS = 1 << 1,
	/* clients use no ports below 1024: 64,512 of them */
	LP_ASSUME_CLIENT_PORTS = 1 << 2,
	/* a range of odd size: the kernel may miss one port */
	LP_ASSUME_ODD_RANGE = 1 << 3,
	/* a new SYN replaces a TIME_WAIT of the same tuple (not when PAWS rejects it) */
	LP_ASSUME_SYN_REPLACES = 1 << 4,
	/*
	 * IPv6 connections stand in the way of 0.0.0.0: not those of sockets that were bound to an
	 * address before connect(), or are for IPv6 only
	 */
	LP_ASSUME_SIX_IN_THE_WAY = 1 << 5,
	/* a SYN queue holds the backlog and not one more: a fix that kernels may have got later */
	LP_ASSUME_SYN_QUEUE_EVEN = 1 << 6,
	/* without SYN cookies: the kernel does not remember the clients (tcp_metrics) */
	LP_ASSUME_CLIENTS_UNKNOWN = 1 << 7,
	/* source NAT without a range: no rule was found, or one that can't be read may be it */
	LP_ASSUME_SNAT_RANGE = 1 << 8,
	/* more than one rule translates to the address, with other ranges */
	LP_ASSUME_SNAT_RULE = 1 << 9,
	/* the kernel takes ports of entries in TIME_WAIT again (nf_nat_used_tuple_harder()) */
	LP_ASSUME_CLOSING_TAKEN = 1 << 10,
};
/* One sentence for one bit. */
const char *lp_assumption_text(enum lp_assumption assumption);
enum { LP_ASSUMPTIONS = 11 }; /* how many bits there are */

struct lp_limit_kind;

struct lp_limit {
	const struct lp_limit_kind *kind;
	size_t netns;  /* index into snapshot->netns, or LP_NO_NETNS */
	uint64_t used; /* without what is reusable */
	uint64_t capacity;
	uint64_t headroom;
	struct lp_figure reusable;
	uint32_t pressure; /* used / capacity, permyriad, rounded down; capacity 0 is LP_FULL */
	bool exact;        /* false: an estimate … */
	uint32_t about;    /* … of `used`, hardly ever off by more; 0: not told */
	bool echo;         /* says what another limit of the list says too */
	unsigned assumed;  /* bits of enum lp_assumption */
	/* what it is a limit of; points into the snapshot, NULL for the namespace or machine */
	union {
		const void *subject;
		const struct lp_pool *pool;
		const struct lp_listener *listener;
		const struct lp_bind_address *bind;
		const struct lp_process *process;
		const struct lp_nat_pool *nat;
	};
	int family; /* of the new destination's pool; else 0 */
};

/* Up to four words of what a limit is about, in the order of design and JSON. */
struct lp_scope {
	struct lp_scope_word {
		const char *key; /* static */
		enum { LP_SCOPE_TEXT, LP_SCOPE_NUMBER, LP_SCOPE_NULL } type;
		char text[LP_ADDRESS_TEXT];
		uint64_t number;
	} words[4];
	size_t n;
};
void lp_scope_text(struct lp_scope *scope, const char *key, const char *text);
void lp_scope_address(struct lp_scope *scope, const char *key, const struct lp_address *address);
void lp_scope_number(struct lp_scope *scope, const char *key, uint64_t number);
void lp_scope_null(struct lp_scope *scope, const char *key);

struct lp_limits {
	struct lp_limit *items;
	size_t n, room;
};
void lp_limits_done(struct lp_limits *limits);

/* What used, capacity and headroom count. */
enum lp_unit {
	LP_UNIT_COUNT = 0, /* ports, descriptors, entries: what the label says */
	LP_UNIT_PAGES,     /* pages of memory, of machine.page_size bytes */
};

/*
 * How TIME_WAIT moves through a limit: what a forecast needs. `live` does not go away by itself.
 */
struct lp_flow {
	struct lp_timers timers; /* TIME_WAIT by seconds left */
	uint32_t oldest_left_ms; /* time left of the oldest */
	uint32_t time_wait;
	uint32_t aged;     /* TIME_WAIT older than stays_ms */
	uint32_t live;     /* what else counts as used */
	uint32_t stays_ms; /* how long an entry counts: 60,000, or tcp_tw_reuse_delay */
	bool counts;       /* TIME_WAIT counts as used here; else only its rate is of interest */
	bool cut_short;    /* tcp_max_tw_buckets is reached: the timers tell too little */
};

struct lp_limit_kind {
	const char *name;    /* "local-ports": fixed, as in JSON */
	const char *label;   /* "local ports": for people */
	const char *refuses; /* what people see when it is used up, one phrase */
	bool of_machine;     /* has no namespace */
	bool of_pool;        /* subject is a pool, or NULL for a new destination's */
	enum lp_unit unit;
	/* the namespace's counters that tell of it, by the kernel's names, up to NULL; or NULL */
	const char *const *counters;
	/* Appends every limit of this kind that the snapshot knows enough about. 0 or -ENOMEM. */
	int (*collect)(const struct lp_snapshot *snapshot, struct lp_limits *limits);
	/* The scope as JSON has it. */
	void (*scope)(const struct lp_limit *limit, struct lp_scope *scope);
	/* What it is a limit of, for people: "10.0.0.5 → 10.1.2.3:443". NULL: nothing to add. */
	void (*where)(const struct lp_limit *limit, const char *arrow, char *buf, size_t size);
	/* TIME_WAIT in it. False where there is none to tell from. NULL: never. */
	bool (*flow)(const struct lp_snapshot *snapshot, const struct lp_limit *limit,
	             struct lp_flow *flow);
	/* Why there is none of this kind in a snapshot, one sentence. NULL: nothing to say. */
	const char *(*absent)(const struct lp_snapshot *snapshot);
};

/* NULL-terminated, in the order in which they are listed. */
extern const struct lp_limit_kind *const lp_limit_kinds[];
const struct lp_limit_kind *lp_limit_kind_find(const char *name);

/*
 * Appends a limit with headroom and pressure worked out. used may exceed capacity. NULL when
 * memory is short.
 */
struct lp_limit *lp_limits_add(struct lp_limits *limits, const struct lp_limit_kind *kind,
                               size_t netns, uint64_t used, uint64_t capacity);

/* Every limit of every kind (or of `only`, when not NULL), nearest to exhaustion first. */
int lp_limits_collect(const struct lp_snapshot *snapshot, const struct lp_limit_kind *only,
                      struct lp_limits *limits);
