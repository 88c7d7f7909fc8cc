/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What was seen of a machine at one moment, and what could not be seen. Sources fill it, limits
 * read it; it knows nothing of the kernel's files and prints nothing.
 */

#include <stddef.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/figure.h"
#include "base/netns_id.h"
#include "snapshot/conntrack.h"
#include "snapshot/counters.h"
#include "snapshot/log.h"
#include "snapshot/program.h"
#include "snapshot/settings.h"

/* The kernel's numbers (include/net/tcp_states.h). */
enum lp_tcp_state {
	LP_ESTABLISHED = 1,
	LP_SYN_SENT = 2,
	LP_SYN_RECV = 3,
	LP_FIN_WAIT1 = 4,
	LP_FIN_WAIT2 = 5,
	LP_TIME_WAIT = 6,
	LP_CLOSE = 7,
	LP_CLOSE_WAIT = 8,
	LP_LAST_ACK = 9,
	LP_LISTEN = 10,
	LP_CLOSING = 11,
	LP_STATES = 12,
};

/* "established", "time_wait" …: as JSON spells them. state is 1 to LP_STATES - 1. */
const char *lp_state_name(enum lp_tcp_state state);

enum {
	LP_PORTS = 65536,
	LP_TIME_WAIT_S = 60, /* TCP_TIMEWAIT_LEN, include/net/tcp.h */
};

/* One bit a port. */
struct lp_port_map {
	uint64_t bits[LP_PORTS / 64];
};

static inline bool lp_port_get(const struct lp_port_map *map, uint32_t port)
{
	return map->bits[port / 64] >> (port % 64) & 1;
}

static inline void lp_port_set(struct lp_port_map *map, uint32_t port)
{
	map->bits[port / 64] |= UINT64_C(1) << (port % 64);
}

/* How many of the ports low to high (both included) are set. 0 when low > high. */
uint32_t lp_port_count(const struct lp_port_map *map, uint32_t low, uint32_t high);

/* TIME_WAIT entries by the whole seconds they have left: [59] are the newest. */
struct lp_timers {
	uint32_t left[LP_TIME_WAIT_S];
};

/* On whose side of a connection this namespace is. */
enum lp_side {
	LP_OPENED = 0,   /* the local port is one of the range: local-ports */
	LP_ACCEPTED = 1, /* the local port is a listener's: client-ports */
};

/*
 * The connections of one (local address, remote address, port). The port is the remote one for
 * LP_OPENED and the listener's for LP_ACCEPTED. No padding: compared and hashed as bytes.
 */
struct lp_pool_key {
	struct lp_address local;
	struct lp_address remote;
	uint16_t port;
	uint16_t side;
};
_Static_assert(sizeof(struct lp_pool_key) == 52, "no padding: hashed as bytes");

/* Counts fit 16 bits: a tuple is unique, so a pool has at most 65,535 connections. */
struct lp_pool {
	struct lp_pool_key key;
	/*
	 * Connections by state. LP_OPENED counts only ports that connect() may choose: in the
	 * range, not reserved, not held by an explicit bind.
	 */
	uint16_t states[LP_STATES];
	uint16_t aged;           /* TIME_WAIT older than tcp_tw_reuse_delay: see aged_exact */
	uint16_t oldest_left_ms; /* time left of the oldest TIME_WAIT; 0 to 60000 */
	uint16_t missed;         /* at most so many more were summed away before it was kept */
	uint16_t about;          /* estimated: hardly ever off by more; 0: counted */
	uint16_t low_ports;      /* LP_ACCEPTED: client ports below 1024 */
	uint16_t late_ports;     /* LP_OPENED: ports of the parity that connect() tries last */
	uint16_t left[LP_TIME_WAIT_S]; /* TIME_WAIT by whole seconds left */
};

struct lp_listener {
	struct lp_address address;
	uint64_t inode; /* of the socket; 0 when not known */
	uint32_t uid;
	uint32_t waiting; /* idiag_rqueue: connections not accepted yet */
	uint32_t backlog; /* idiag_wqueue: the limit given to listen(), capped by somaxconn */
	/* connections of which the last ACK has not come; see snapshot/listeners.h */
	struct lp_figure requests;
	uint16_t port;
	bool v6only;
	bool reserved; /* the port is in ip_local_reserved_ports */
};

/* Whose doing it is that the namespace's counters of full queues grew between two looks. */
enum lp_overflow_of {
	LP_OVERFLOW_OF_NAMESPACE, /* somebody's in the namespace: it is not certain whose */
	LP_OVERFLOW_OF_ONLY,      /* the only listening socket's, the same in both looks */
	LP_OVERFLOW_OF_ONLY_FULL, /* of accept queues: the only one's that was full both times */
};
struct lp_overflow {
	enum lp_overflow_of how;
	uint64_t inode; /* of the listening socket */
};

/* What bind(port 0) finds on one local address. */
struct lp_bind_address {
	struct lp_address address; /* a wildcard stands for bind() to it */
	uint32_t held;             /* ports of the range, not reserved, that a bind holds here */
	uint32_t taken;  /* other ports of the range, not reserved, that are in use here */
	uint32_t by_six; /* of 0.0.0.0: those of taken that IPv6 connections alone use */
};

struct lp_netns {
	uint64_t inode;
	uint64_t device; /* st_dev of the namespace file: with inode, its identity … */
	uint32_t cookie; /* … while it is there: struct lp_netns_id */
	char *name;      /* under /run/netns, "host" for that of pid 1, or NULL */
	pid_t pid;       /* a process inside, or 0 */
	bool own;        /* the one in which this was asked */
	bool initial;    /* the machine's first namespace: has the machine-wide sysctls */

	/* sysctls of the namespace, /proc/sys/net/ipv4 */
	struct lp_figure range_low, range_high; /* ip_local_port_range, both included */
	struct lp_figure tw_reuse;              /* tcp_tw_reuse: 0 off, 1 all, 2 loopback */
	struct lp_figure tw_reuse_delay_ms;     /* tcp_tw_reuse_delay; 1000 before 6.14 */
	struct lp_figure timestamps;            /* tcp_timestamps: 0 off */
	struct lp_figure max_tw_buckets;        /* tcp_max_tw_buckets */
	struct lp_figure syncookies;            /* tcp_syncookies: 0 off, 1 when full, 2 always */
	struct lp_figure max_syn_backlog;       /* tcp_max_syn_backlog */

	/* sockstat, sockstat6: sockets in the tables, without TIME_WAIT; TIME_WAIT of both */
	struct lp_figure in_use4, in_use6, time_wait;
	struct lp_figure sockets_used; /* sockstat: sockets of every kind, without TIME_WAIT */
	bool has_ipv6;

	/* net/netfilter/nf_conntrack_*; the maximum is not known where there is none */
	struct lp_figure conntrack_entries, conntrack_max, conntrack_buckets;
	struct lp_conntrack_counters conntrack_counters; /* read where there are entries */
	struct lp_conntrack_counters conntrack_growth; /* since another look, lp_snapshot.apart_s */
	struct lp_figure conntrack_unassured;          /* entries that the kernel may evict */
	struct lp_nat_pool *nats;                      /* of every entry: snapshot/nat.h */
	size_t n_nats;
	struct lp_conntrack_detail *conntrack;  /* of every entry, where they were read */
	struct lp_figure conntrack_time_wait_s; /* nf_conntrack_tcp_timeout_time_wait */
	struct lp_figure somaxconn;             /* net/core/somaxconn */

	struct lp_tcp_counters tcp_counters; /* since the namespace began */
	struct lp_tcp_counters tcp_growth;   /* since another look, lp_snapshot.apart_s ago */
	struct lp_overflow overflow;         /* for that growth, where there was another look */

	struct lp_port_map *reserved_ports; /* ip_local_reserved_ports; NULL: none */
	uint32_t reserved;                  /* those of the range */
	uint32_t held;   /* ports of the range, not reserved, that an explicit bind holds */
	bool held_exact; /* … those of bind() before connect() too, as the kernel keeps them */
	uint32_t held_by_connections; /* of those held: by no socket else; if held_exact */
	bool aged_exact;              /* pools' `aged` are of connections that had timestamps */

	bool sockets_read; /* what follows was read … */
	bool sockets_torn; /* … but not wholly: there is a gap that says why */
	/*
	 * One connection in so many was read: `states`, `timers` and the pools with `about` are
	 * estimates, and small pools are not among these. 0: all were.
	 */
	uint32_t sampled;
	uint64_t states[LP_STATES];
	struct lp_timers timers;
	uint32_t oldest_left_ms; /* time left of the oldest TIME_WAIT; 0 to 60000 */
	struct lp_listener *listeners;
	size_t n_listeners;
	struct lp_bind_address *binds;
	size_t n_binds;
	struct lp_pool *pools; /* by no order */
	size_t n_pools;
	uint64_t summed_pools;   /* pools too small to matter, not kept; an estimate */
	uint64_t summed_sockets; /* connections in them */
};

struct lp_process {
	pid_t pid;
	char command[16];
	uint64_t descriptors; /* open, with a number below the limit */
	uint64_t limit;       /* soft RLIMIT_NOFILE */
	uint64_t hard_limit;  /* to which the process itself may raise it */
};

struct lp_machine {
	char kernel[65];
	char host[65];
	struct lp_figure file_allocated, file_max;         /* /proc/sys/fs/file-nr */
	struct lp_figure nr_open;                          /* the most that RLIMIT_NOFILE can be */
	struct lp_figure tcp_pages, tcp_pages_max;         /* sockstat mem, tcp_mem[2] */
	struct lp_figure tcp_pages_pressure;               /* tcp_mem[1] */
	struct lp_figure page_size;                        /* bytes */
	struct lp_figure time_wait_size, bind_bucket_size; /* bytes in slab, each */
	struct lp_figure orphans, max_orphans;
	struct lp_figure tcp_allocated; /* sockstat alloc: TCP sockets of all namespaces */
	struct lp_figure tick_us;       /* a jiffy: the resolution of CLOCK_MONOTONIC_COARSE */
	/*
	 * nf_conntrack_count of all namespaces that could be entered, whichever were asked for:
	 * they share one hash table. Not known where none tracks.
	 */
	struct lp_figure conntrack_entries;
	uint32_t conntrack_namespaces; /* that have any */
	bool conntrack_torn;           /* other namespaces could not be entered: there is a gap */
};

/* Something that could not be read, or not wholly. */
struct lp_gap {
	const char *what; /* a static word: "sockets", "namespaces", "processes" … */
	uint64_t netns;   /* inode, or 0 for the machine */
	char *why;
};

enum lp_reader {
	LP_READER_DIAG,
	LP_READER_BPF,
};

struct lp_snapshot {
	int64_t taken_at_ms; /* since the epoch */
	int64_t took_us;
	double apart_s; /* since another look with which this one was compared; 0: none */
	enum lp_reader reader;
	bool privileged; /* could enter other namespaces */
	struct lp_machine machine;
	struct lp_netns *netns;
	size_t n_netns, room_netns;
	struct lp_process *processes;
	size_t n_processes, room_processes;
	struct lp_pool_owners *owners; /* snapshot/owners.h; by no order */
	size_t n_owners;
	struct lp_ledger_facts *ledger; /* snapshot/ledger.h; NULL: it is off … */
	bool ledger_closed;             /* … or can't be read, so that it may be on */
	struct lp_program *programs;    /* of processes that are named to people */
	size_t n_programs;
	struct lp_settings settings;
	struct lp_log log;
	struct lp_gap *gaps; /* none: the snapshot is complete */
	size_t n_gaps, room_gaps;
};

struct lp_snapshot *lp_snapshot_new(void);
void lp_snapshot_free(struct lp_snapshot *snapshot);
static inline void lp_snapshot_freep(struct lp_snapshot **snapshot)
{
	lp_snapshot_free(*snapshot);
}

/* Says that something is missing. `what` is static; the same sentence twice is kept once. */
int lp_snapshot_gap(struct lp_snapshot *snapshot, const char *what, uint64_t netns,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Appends a zeroed namespace or process; NULL when memory is short. Pointers move. */
struct lp_netns *lp_snapshot_add_netns(struct lp_snapshot *snapshot);
struct lp_process *lp_snapshot_add_process(struct lp_snapshot *snapshot);

/* What a process runs; NULL where it was not looked up. */
const struct lp_program *lp_snapshot_program(const struct lp_snapshot *snapshot, pid_t pid);

/* All connections of a pool, TIME_WAIT included. */
uint32_t lp_pool_total(const struct lp_pool *pool);

static inline struct lp_netns_id lp_netns_id(const struct lp_netns *netns)
{
	return (struct lp_netns_id){netns->inode, netns->cookie};
}

/* Sockets in a namespace's TCP tables, of both families, without TIME_WAIT: known if IPv4's are. */
struct lp_figure lp_netns_in_use(const struct lp_netns *netns);

/* TCP sockets of all namespaces, TIME_WAIT included, from sockstat: known if all were. */
struct lp_figure lp_snapshot_sockets(const struct lp_snapshot *snapshot);

/* The most that `sampled` is in any namespace; 0: nothing is an estimate for that reason. */
uint32_t lp_snapshot_sampled(const struct lp_snapshot *snapshot);

/* Ports of the range, less reserved: 0 when the range is not known. */
uint32_t lp_netns_range_ports(const struct lp_netns *netns);
