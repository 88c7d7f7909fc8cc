/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was seen of a namespace's connection tracking. */

#include <stddef.h>

#include "base/address.h"
#include "base/figure.h"

/*
 * What the kernel counts of connection tracking, the sum over all CPUs: struct ip_conntrack_stat.
 * Of the namespace, since it began. The kernel keeps 32 bits a CPU: see lp_conntrack_grew().
 */
struct lp_conntrack_counters {
	struct lp_figure found;          /* NAT looked at a tuple and it was in use */
	struct lp_figure invalid;        /* packets that fit no connection */
	struct lp_figure insert;         /* entries made by hand (ctnetlink) */
	struct lp_figure insert_failed;  /* an entry found no place: a clash, or no port for NAT */
	struct lp_figure drop;           /* packets dropped: table full, and with insert_failed */
	struct lp_figure early_drop;     /* entries that were evicted for new ones */
	struct lp_figure error;          /* ICMP errors and malformed packets */
	struct lp_figure search_restart; /* lookups begun again: the table moved under them */
	struct lp_figure clash_resolve;  /* clashes that ended well; since Linux 5.10 */
	struct lp_figure chain_too_long; /* no entry because its bucket is full; since 5.15 */
};
/* All of them in this order, with the names that JSON has: "insert_failed". */
struct lp_conntrack_counter {
	const char *name;
	size_t offset; /* of the figure in the struct */
};
enum { LP_CONNTRACK_COUNTERS = 10 };
extern const struct lp_conntrack_counter lp_conntrack_counter_list[LP_CONNTRACK_COUNTERS];
static inline struct lp_figure *lp_conntrack_figure(struct lp_conntrack_counters *counters,
                                                    const struct lp_conntrack_counter *counter)
{
	return (struct lp_figure *)((char *)counters + counter->offset);
}

/* By how much a counter grew, also where one CPU's 32 bits began again. Unknown if either is. */
static inline struct lp_figure lp_conntrack_grew(struct lp_figure before, struct lp_figure now)
{
	if (!before.known || !now.known)
		return (struct lp_figure){0};
	return lp_figure((uint32_t)(now.n - before.n));
}

/* The same for all of them. */
void lp_conntrack_growth(const struct lp_conntrack_counters *before,
                         const struct lp_conntrack_counters *now,
                         struct lp_conntrack_counters *growth);

/* The kernel's numbers (linux/netfilter/nf_conntrack_tcp.h). */
enum lp_conntrack_state {
	LP_CT_ESTABLISHED = 3,
	LP_CT_TIME_WAIT = 7,
	LP_CT_STATES = 10,
};
/* "established", "time_wait" …: as JSON spells them. state is 0 to LP_CT_STATES - 1. */
const char *lp_conntrack_state_name(unsigned state);

enum lp_conntrack_protocol { LP_CT_TCP, LP_CT_UDP, LP_CT_ICMP, LP_CT_OTHER, LP_CT_PROTOCOLS };
/* "tcp", "udp", "icmp" (that of IPv6 too), "other". */
const char *lp_conntrack_protocol_name(enum lp_conntrack_protocol protocol);

/* Bits of an entry's status (linux/netfilter/nf_conntrack_common.h). */
enum {
	LP_CT_SEEN_REPLY = 1 << 1,
	LP_CT_ASSURED = 1 << 2,
	LP_CT_SRC_NAT = 1 << 4,
};

/* One direction of an entry. Addresses as in struct lp_address, ports in host order. */
struct lp_conntrack_tuple {
	uint8_t from[16], to[16];
	uint16_t from_port, to_port; /* 0 where the protocol has none */
};

/* One entry, as a reader gives it. */
struct lp_conntrack_entry {
	struct lp_conntrack_tuple original, reply;
	uint32_t status;  /* bits; where it was read from text those of the enum only */
	uint32_t left_s;  /* until it goes away by itself */
	uint8_t family;   /* AF_INET or AF_INET6 */
	uint8_t protocol; /* IPPROTO_… */
	uint8_t state;    /* of TCP; else 0 */
	bool zoned;       /* in a zone; not known where it was read from text or by programs */
};

/* Who has most entries. */
struct lp_conntrack_talker {
	struct lp_address address;           /* family 0 for a port */
	uint16_t port;                       /* of a port */
	enum lp_conntrack_protocol protocol; /* of a port */
	uint64_t entries;
	uint64_t missed; /* at most so many more were summed away before it was kept */
};

enum {
	LP_CT_TALKERS = 10,
	LP_CT_DRAIN_POINTS = 12,
	LP_CT_DRAIN_STEP_S = 10, /* conntrack's TIME_WAIT is 120 s unless set otherwise */
};

/* The talkers of one kind, most entries first. */
struct lp_conntrack_talkers {
	struct lp_conntrack_talker items[LP_CT_TALKERS];
	size_t n;
};

/* What a walk over all entries of a namespace told. */
struct lp_conntrack_detail {
	uint64_t entries; /* that were read */
	uint64_t assured; /* of them those that nothing evicts */
	uint64_t unreplied;
	uint64_t translated; /* source NAT */
	uint64_t protocols[LP_CT_PROTOCOLS];
	uint64_t states[LP_CT_STATES]; /* of TCP */
	/* how many TIME_WAITs of TCP are gone after 10, 20 … 120 s; the rest later */
	uint64_t drain[LP_CT_DRAIN_POINTS];
	struct lp_conntrack_talkers sources, destinations, ports; /* of the original direction */
};
