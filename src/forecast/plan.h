/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What so many connections need, once things have settled, and whether a machine has it. Little's
 * law, with the kernel's times: docs/formulas.md has every formula, each beside the name that it
 * has in plan.c. Arithmetic only.
 */

#include "limit/limit.h"

enum lp_plan_role {
	LP_PLAN_CLIENT, /* this machine opens the connections */
	LP_PLAN_SERVER, /* … accepts them */
	LP_PLAN_ROUTER, /* … forwards them and translates their source */
};

enum lp_plan_closer { LP_CLOSER_CLIENT, LP_CLOSER_SERVER, LP_CLOSER_BOTH };

enum { LP_PLAN_FIRST_PORT = 1024, LP_PLAN_LAST_PORT = 65535 };

/* What is wished for. Connections are spread evenly over all pairs of source and destination. */
struct lp_plan_wishes {
	struct lp_real rate;        /* requests a second; not known: the highest is asked for */
	double requests;            /* on each connection; 1 or more */
	double hold_s;              /* from connect() to the first close(); 0 or more */
	uint32_t sources;           /* addresses of the clients; 1 or more */
	uint32_t destinations;      /* addresses and ports of the servers; 1 or more */
	uint32_t translated;        /* a router's: addresses to translate to; 1 or more */
	uint32_t nat_low, nat_high; /* … and their ports, both included */
	struct lp_figure burst;     /* a server's: connections that arrive at once */
	enum lp_plan_role role;
	enum lp_plan_closer closer; /* whose FIN goes first */
	bool bind_first;            /* bind() to an address and port 0 goes before connect() */
	bool loopback;              /* the destinations are 127/8 or ::1 */
};

/* What a machine, or one namespace of it, has. */
struct lp_plan_machine {
	struct lp_figure range_low, range_high; /* ip_local_port_range, both included */
	struct lp_figure ports; /* of it, less those reserved or held: that connect() may choose */
	struct lp_port_map reserved; /* whether in it or not; none where that is not told */
	struct lp_figure tw_reuse, tw_reuse_delay_ms, timestamps; /* tcp_tw_reuse … */
	struct lp_figure tick_us;                                 /* a jiffy */
	struct lp_figure max_tw_buckets, time_wait;
	struct lp_figure descriptors;     /* soft RLIMIT_NOFILE of one process */
	struct lp_figure nr_open;         /* the most that it can be raised to */
	struct lp_figure file_max, files; /* of the whole machine, and those open */
	struct lp_figure conntrack_max, conntrack_entries, conntrack_buckets;
	struct lp_figure conntrack_time_wait_s; /* nf_conntrack_tcp_timeout_time_wait */
	struct lp_figure somaxconn;
	struct lp_figure time_wait_size, bind_bucket_size; /* bytes in slab */
	bool tracks;                                       /* its own connections are tracked */
};

enum lp_plan_limit {
	LP_PLAN_LOCAL_PORTS,
	LP_PLAN_BIND_PORTS,
	LP_PLAN_CLIENT_PORTS,
	LP_PLAN_SNAT_PORTS,
	LP_PLAN_DESCRIPTORS, /* of one process */
	LP_PLAN_FILES,       /* of the machine */
	LP_PLAN_CONNTRACK,
	LP_PLAN_ACCEPT_QUEUE,
	LP_PLAN_TIME_WAIT, /* the only one that refuses nothing: TIME_WAIT is cut short */
	LP_PLAN_LIMITS,
};
/* "local-ports" …: as limits are called in JSON. */
const char *lp_plan_limit_name(enum lp_plan_limit limit);

/* One limit under the plan. */
struct lp_plan_need {
	bool judged;     /* it is in the way of this plan, and the machine's figure is known */
	uint64_t needed; /* of each pool, rounded up; only where a rate is wished for */
	uint64_t has;    /* free now, in each pool */
	uint64_t pools;  /* that share the load */
	bool carries;
	/* connections a second that it carries at most; INFINITY: it sets no bound to the rate */
	double highest;
};

/* What has to be changed for one limit, and to what. */
enum lp_plan_knob {
	LP_KNOB_REQUESTS,     /* so many requests on each connection */
	LP_KNOB_NO_BIND,      /* IP_BIND_ADDRESS_NO_PORT, or no bind() before connect() */
	LP_KNOB_DESTINATIONS, /* so many */
	LP_KNOB_SOURCES,
	LP_KNOB_TRANSLATED,
	LP_KNOB_RANGE, /* so many ports that connect() may choose */
	LP_KNOB_REUSE, /* tcp_tw_reuse = 1 */
	LP_KNOB_DESCRIPTORS,
	LP_KNOB_FILES,
	LP_KNOB_CONNTRACK_TIMEOUT, /* nf_conntrack_tcp_timeout_time_wait of so many seconds */
	LP_KNOB_CONNTRACK_MAX,
	LP_KNOB_BACKLOG,
	LP_KNOB_BUCKETS,
	LP_KNOBS,
};
/* "requests", "destinations" …: as JSON calls them. */
const char *lp_plan_knob_name(enum lp_plan_knob knob);

struct lp_plan_change {
	enum lp_plan_limit limit; /* that it makes carry */
	enum lp_plan_knob knob;
	uint64_t from, to; /* the smallest value that carries; `from` 0: not known */
	bool all;          /* with this alone, everything carries */
	double highest;    /* connections a second that the limit then carries */
};
enum { LP_PLAN_CHANGES = 32 };

struct lp_plan {
	struct lp_plan_wishes wishes;
	struct lp_plan_machine machine;
	struct lp_plan_need needs[LP_PLAN_LIMITS];
	double opens; /* connections a second: rate / requests, or the highest */
	bool carries; /* every limit that refuses; true where no rate is wished for */
	bool unknown; /* it would, but the ports are not known: what carries and what is highest */
	bool cut_short; /* TIME_WAIT goes beyond tcp_max_tw_buckets */
	/* that stops it first as the rate rises; LP_PLAN_LIMITS: none does */
	enum lp_plan_limit first;
	double highest; /* connections a second that all limits carry; may be INFINITY */
	/* in steady state, all pools together, at `opens` */
	double live;         /* connections open at a time */
	double time_wait;    /* TIME_WAITs on this machine, at most */
	double entries;      /* conntrack entries, at most, those that wait to be swept included */
	double memory;       /* bytes of kernel memory, without what is in buffers */
	double full_in_s;    /* where `first` does not carry: until it is full; INFINITY: never */
	double port_stays_s; /* how long after close() its port is not free again */
	/* connect() searches longer once half the ports of a pool are in use: at `opens` … */
	double search_us; /* … for so long about, each; 0: not beyond half */
	struct lp_plan_change changes[LP_PLAN_CHANGES]; /* least risk first */
	size_t n_changes;
};

/* Works it out. The wishes are within their ranges. */
void lp_plan_make(const struct lp_plan_wishes *wishes, const struct lp_plan_machine *machine,
                  struct lp_plan *ret);

/* The figures of one namespace of a snapshot, and of a process of it (or NULL). */
struct lp_plan_machine lp_plan_machine_of(const struct lp_snapshot *snapshot,
                                          const struct lp_netns *netns,
                                          const struct lp_process *process);

/* Ports from low to high that are not reserved. */
uint64_t lp_plan_not_reserved(const struct lp_plan_machine *machine, uint64_t low, uint64_t high);

/* Whether what bounds a client first is not known: then nothing is said of what carries. */
bool lp_plan_lacks_ports(const struct lp_plan_wishes *wishes,
                         const struct lp_plan_machine *machine);

/*
 * Bounds of a range that has so many ports for connect(): the lower one goes down first, 1024 to
 * 65535, and the size is even. False where the machine's range is not known.
 */
bool lp_plan_range_for(const struct lp_plan_machine *m, uint64_t ports, uint32_t *low,
                       uint32_t *high);
