/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connection tracking of a namespace, by ctnetlink. A namespace of NULL is the calling thread's.
 * All return 0 or more, or a negative errno with a sentence in err. IPv4 and TCP only. What is in a
 * namespace's table goes when the namespace does.
 */

#include <stdbool.h>

#include "lab/ns.h"
#include "lab/socket.h"

/*
 * The machine's nf_conntrack_max. There is but one, with which each namespace's own count is
 * compared; the lab never changes it. -ENOENT: no connection tracking here; -ENODATA: it is 0, no
 * limit.
 */
int64_t lab_conntrack_max(struct lp_error *err);

/* Entries in the namespace's table. */
int64_t lab_conntrack_count(const struct lab_ns *ns, struct lp_error *err);

/* The namespace's counters, all CPUs together. */
struct lab_conntrack_stats {
	uint64_t found;         /* tried and in use: while looking for a port to translate to */
	uint64_t insert_failed; /* no place for an entry: clashes, and no port to translate to */
	uint64_t drop;          /* packets dropped because an entry could not be had */
	uint64_t early_drop;    /* entries that made room for new ones */
};
int lab_conntrack_stats(const struct lab_ns *ns, struct lab_conntrack_stats *ret,
                        struct lp_error *err);

/* Entries to be made, as if so many TCP connections were open: see lab_conntrack_fill(). */
struct lab_conntrack_fill {
	struct lab_addr from; /* the port is the first one used */
	struct lab_addr to;   /* the first destination; those after it have the next addresses */
	/* as if they had asked for this one and were translated; length 0: not translated */
	struct lab_addr asked;
	uint32_t ports;   /* source ports towards one destination, then comes the next one */
	uint32_t n;       /* entries */
	bool short_lived; /* not ASSURED: the kernel may evict them to make room */
};

/*
 * Makes the entries: about 2 µs and 300 bytes of kernel memory each. They stay for a day. -ENOMEM:
 * the table has no room for so many, which the kernel logs as if packets had been dropped: to fill
 * a table, make just as many as there is room for.
 */
int lab_conntrack_fill(const struct lab_ns *ns, const struct lab_conntrack_fill *fill,
                       struct lp_error *err);

/*
 * Makes just as many entries as leave room for `leave` more; fill->n is set to how many. -EFBIG
 * where a full table would take more memory than an experiment may: over a million entries, or an
 * eighth of what is free.
 */
int lab_conntrack_fill_up(const struct lab_ns *ns, struct lab_conntrack_fill *fill, uint32_t leave,
                          struct lp_error *err);

/* One entry. */
struct lab_conntrack {
	uint32_t left_s;   /* until it goes away by itself */
	uint32_t status;   /* IPS_ASSURED … of <linux/netfilter/nf_conntrack_common.h> */
	uint8_t tcp_state; /* TCP_CONNTRACK_TIME_WAIT … of <linux/netfilter/nf_conntrack_tcp.h> */
};

/* The entry of the connection between the two, whoever opened it. -ENOENT: there is none. */
int lab_conntrack_find(const struct lab_ns *ns, const struct lab_addr *from,
                       const struct lab_addr *to, struct lab_conntrack *ret, struct lp_error *err);

/* Takes it away. -ENOENT: there is none. */
int lab_conntrack_delete(const struct lab_ns *ns, const struct lab_addr *from,
                         const struct lab_addr *to, struct lp_error *err);
