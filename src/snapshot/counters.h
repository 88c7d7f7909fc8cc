/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel counts of a namespace's TCP: the figures of nstat that tell of limits. */

#include <stddef.h>

#include "base/figure.h"

/*
 * Of the namespace, since it began: /proc/net/netstat (TcpExt, linux/snmp.h) and /proc/net/snmp
 * (Tcp). Those that this kernel does not have are not known.
 */
struct lp_tcp_counters {
	struct lp_figure active_opens;    /* connects that sent a SYN */
	struct lp_figure passive_opens;   /* requests that a handshake made a connection of */
	struct lp_figure attempt_fails;   /* handshakes that failed, of both sides */
	struct lp_figure estab_resets;    /* connections that a reset ended */
	struct lp_figure in_segs;         /* segments that came, bad ones too */
	struct lp_figure retrans_segs;    /* segments sent again */
	struct lp_figure out_rsts;        /* resets sent */
	struct lp_figure syn_retrans;     /* SYNs and SYN-ACKs sent again */
	struct lp_figure listen_overflow; /* SYN or final ACK dropped: the accept queue was full */
	struct lp_figure listen_drops;    /* the same, and drops by a listener for other reasons */
	struct lp_figure reqq_cookies;    /* SYNs answered with a cookie: the SYN queue was full */
	struct lp_figure reqq_drops;      /* SYNs dropped: it was full, and cookies are off */
	struct lp_figure cookies_sent, cookies_received, cookies_failed;
	struct lp_figure time_wait;          /* TIME_WAITs that ran out by themselves */
	struct lp_figure time_wait_reused;   /* … that connect() took over */
	struct lp_figure time_wait_overflow; /* … destroyed at once: tcp_max_tw_buckets */
	/* segments whose timestamp was too old: for SYN_SENT, a connection, a TIME_WAIT */
	struct lp_figure paws_active, paws_estab, paws_time_wait;
	struct lp_figure abort_on_memory;  /* connections reset for tcp_mem or too many orphans */
	struct lp_figure memory_pressures; /* times that tcp_mem[1] was passed */
};

/* All of them in this order, with the kernel's names, which JSON has too: "ListenOverflows". */
struct lp_tcp_counter {
	const char *name;
	const char *table; /* "TcpExt:" or "Tcp:", as its lines begin */
	size_t offset;     /* of the figure in the struct */
};
enum { LP_TCP_COUNTERS = 23 };
extern const struct lp_tcp_counter lp_tcp_counter_list[LP_TCP_COUNTERS];
static inline struct lp_figure *lp_tcp_figure(struct lp_tcp_counters *counters,
                                              const struct lp_tcp_counter *counter)
{
	return (struct lp_figure *)((char *)counters + counter->offset);
}

/*
 * By how much each grew between two looks at the same namespace. Unknown where either is, or where
 * it went back: then it was another namespace.
 */
void lp_tcp_counters_growth(const struct lp_tcp_counters *before, const struct lp_tcp_counters *now,
                            struct lp_tcp_counters *growth);
