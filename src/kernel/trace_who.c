/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/trace_who.h"

#include <string.h>

#include "kernel/ledger.h"
#include "kernel/scan.h"

void lp_trace_who_begin(struct lp_trace_who *who, const struct lp_kernel *kernel)
{
	who->kernel = kernel;
	who->cgroups = LP_CGROUPS_NONE;
	who->own_pids = lp_processes_are_initial(kernel);
	(void)lp_cgroups_open(kernel, &who->cgroups);
}

void lp_trace_who_done(struct lp_trace_who *who)
{
	lp_cgroups_close(&who->cgroups);
}

/* The path of a cgroup; of version 1 only a process itself tells. */
static bool find_path(struct lp_trace_who *who, const struct lp_ledger_party *party, bool one)
{
	/* its number may be another one's by now; of single events the start is not told */
	if (one && who->own_pids &&
	    (!party->start_ns || lp_ledger_party_runs(who->kernel, party)) &&
	    lp_cgroup_of(who->kernel, party->pid, who->path, sizeof(who->path)) == 0)
		return true;
	return who->cgroups.mount >= 0 &&
	       lp_cgroups_path(&who->cgroups, party->cgroup_id, who->path, sizeof(who->path)) == 0;
}

void lp_trace_who_fill(struct lp_trace_who *who, const struct lp_ledger_party *party,
                       uint32_t processes, struct lp_event *event)
{
	event->has_netns = true;
	event->netns = party->netns;
	event->processes = processes;
	event->pid = party->pid;
	memcpy(event->command, party->command, sizeof(event->command));
	event->cgroup = find_path(who, party, processes == 1) ? who->path : NULL;
}

void lp_trace_why_refused(enum lp_refusal why, struct lp_event *event)
{
	static const char *const phrases[LP_REFUSALS] = {
	        [LP_REFUSAL_NO_PORT] = "no port is left",
	        [LP_REFUSAL_BOUND_PORT] = "the port that bind() gave it is in use to there",
	};
	event->reason = lp_refusal_name(why);
	event->why = phrases[why];
}
