/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What sources of processes' doings share: who it was, and why it was refused. */

#include "kernel/cgroup.h"
#include "snapshot/event.h"
#include "snapshot/ledger.h"

struct lp_trace_who {
	const struct lp_kernel *kernel;
	struct lp_cgroups cgroups;
	bool own_pids; /* /proc numbers processes as the kernel's programs do */
	char path[LP_CGROUP_PATH];
};

/* The kernel outlives it. */
void lp_trace_who_begin(struct lp_trace_who *who, const struct lp_kernel *kernel);
void lp_trace_who_done(struct lp_trace_who *who);

/*
 * Fills in whose doing the event is: of so many processes of one cgroup. The cgroup's path is good
 * until the next call.
 */
void lp_trace_who_fill(struct lp_trace_who *who, const struct lp_ledger_party *party,
                       uint32_t processes, struct lp_event *event);

/* Fills in why a connect() was refused. */
void lp_trace_why_refused(enum lp_refusal why, struct lp_event *event);
