/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/trace.h"

/* What the kernel counts of each namespace's TCP and connection tracking. For everybody. */
extern const struct lp_trace_source lp_trace_counters;

/* Lines of the kernel log. Where kernel.dmesg_restrict is set, for root. */
extern const struct lp_trace_source lp_trace_kmsg;

/* SYNs that netfilter drops, by place, from a program in the kernel. */
extern const struct lp_trace_source lp_trace_netfilter;

/* What the ledger counts: refused connects, first closers. */
extern const struct lp_trace_source lp_trace_ledger;

/* The same one by one, where single events are asked for. */
extern const struct lp_trace_source lp_trace_each;
