/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each.bpf.c writes into its ring and src/kernel/trace_each.c reads, event by event. */

#include "bpf/ledger.h"

enum {
	LP_EACH_NO_PORT,    /* connect(): the range is exhausted */
	LP_EACH_BOUND_PORT, /* connect(): the port that bind() had given is in use to there */
	LP_EACH_CLOSED_FIRST,
};

struct lp_each_event {
	__u64 took_ns; /* the search for a port */
	__u64 cgroup;
	__u32 pid; /* as the initial PID namespace numbers it */
	__u32 what;
	struct lp_ledger_destination to;
	char command[16];
};
_Static_assert(sizeof(struct lp_each_event) == 72, "the same for both sides");

/* Bytes of the ring: a power of two, and whole pages. */
#define LP_EACH_ROOM (1U << 20)

/* The one entry of `each_control`. */
struct lp_each_control {
	__u64 lost;   /* events that found no room in the ring */
	__u32 wanted; /* set by the reader: inode of the one namespace that is wanted; 0: all */
	__u32 zero;
};
