/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/programs.h"

#include "kernel/program.h"
#include "limit/kinds.h"
#include "snapshot/owners.h"

/* The process that is at a limit: its own, or who has most of a pool. 0: none is known. */
static pid_t culprit(const struct lp_snapshot *snapshot, const struct lp_limit *limit)
{
	if (limit->kind == &lp_file_descriptors)
		return limit->process ? limit->process->pid : 0;
	if (!limit->kind->of_pool || !limit->pool)
		return 0;
	const struct lp_pool_owners *owners = lp_owners_of(snapshot, limit->pool);
	return owners && owners->n ? owners->items[0].pid : 0;
}

int lp_report_programs(const struct lp_kernel *kernel, struct lp_report *report)
{
	enum { WORTH_A_LOOK = LP_FULL / 4 };
	pid_t pids[LP_PROGRAMS];
	size_t n = 0;
	for (size_t i = 0; i < report->limits.n && n < LP_PROGRAMS; i++) {
		const struct lp_limit *limit = &report->limits.items[i];
		pid_t pid = limit->pressure >= WORTH_A_LOOK ? culprit(report->snapshot, limit) : 0;
		if (pid)
			pids[n++] = pid;
	}
	return n ? lp_programs_read(kernel, report->snapshot, pids, n) : 0;
}
