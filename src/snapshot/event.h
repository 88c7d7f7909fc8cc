/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Something that happened, or how often it did in one interval: what `lastport trace` tells. */

#include "snapshot/snapshot.h"

enum lp_event_kind {
	LP_EVENT_REFUSED,       /* connect() without a port */
	LP_EVENT_CLOSED_FIRST,  /* connections whose TIME_WAIT is kept on this side */
	LP_EVENT_TIME_WAIT_CUT, /* TIME_WAITs destroyed at once: tcp_max_tw_buckets */
	LP_EVENT_ACCEPT_QUEUE_FULL,
	LP_EVENT_SYN_QUEUE_FULL,
	LP_EVENT_TIMESTAMP_TOO_OLD, /* a SYN that met a TIME_WAIT with a later timestamp */
	LP_EVENT_OUT_OF_MEMORY,     /* connections reset: tcp_mem, tcp_max_orphans */
	LP_EVENT_CONNTRACK_DROP,    /* packets that connection tracking dropped */
	LP_EVENT_NETFILTER_DROP,    /* SYNs, by the place in the kernel that dropped them */
	LP_EVENT_LOG,               /* a line of the kernel log */
	LP_EVENTS,
};

/* How each is called: in JSON, and for people. */
struct lp_event_name {
	const char *name;  /* "time-wait-cut": fixed */
	const char *label; /* "TIME_WAIT cut short" */
};
extern const struct lp_event_name lp_event_names[LP_EVENTS];

/* Texts live until the function that an event is given to returns. */
struct lp_event {
	enum lp_event_kind kind;
	int64_t at_ms; /* since the epoch */
	bool has_netns;
	struct lp_netns_id netns;
	const char *netns_name; /* or NULL */
	bool netns_own;         /* the tracer's */
	uint64_t count;         /* how many this stands for */
	struct lp_real rate;    /* of them a second, where they were counted over an interval */
	const struct lp_log_entry *line; /* LP_EVENT_LOG: what it says */
	/* whose doing; 0 processes: it does not say */
	uint32_t processes;
	pid_t pid; /* if it is one */
	char command[16];
	const char *cgroup; /* path, or NULL */
	/* to where */
	bool has_remote;
	struct lp_address remote;
	uint16_t remote_port;
	struct lp_real search_ms; /* the search for a port took, on average */
	const char *reason;       /* a word that stays put; or NULL */
	const char *why;          /* the same as a phrase; NULL: the kind says all */
};
