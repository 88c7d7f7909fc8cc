/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * file-descriptors: of a process, bounded by the soft RLIMIT_NOFILE (alloc_fd() in fs/file.c), and
 * of the system, bounded by fs.file-max (alloc_empty_file() in fs/file_table.c).
 */

#include <errno.h>
#include <stdio.h>

#include "limit/kinds.h"

/* A process that allows itself next to none is a sandbox, and runs short of none. */
enum { ON_PURPOSE = 32 };

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	const struct lp_machine *machine = &snapshot->machine;
	if (machine->file_allocated.known && machine->file_max.known &&
	    !lp_limits_add(limits, &lp_file_descriptors, LP_NO_NETNS, machine->file_allocated.n,
	                   machine->file_max.n))
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->n_processes; i++) {
		const struct lp_process *process = &snapshot->processes[i];
		if (process->limit < ON_PURPOSE)
			continue;
		struct lp_limit *limit = lp_limits_add(limits, &lp_file_descriptors, LP_NO_NETNS,
		                                       process->descriptors, process->limit);
		if (!limit)
			return -ENOMEM;
		limit->process = process;
	}
	return 0;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	if (!limit->process)
		return;
	lp_scope_number(scope, "pid", (uint64_t)limit->process->pid);
	lp_scope_text(scope, "command", limit->process->command);
}

static void where(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	(void)arrow;
	if (limit->process)
		(void)snprintf(buf, size, "%s (%d)", limit->process->command, limit->process->pid);
	else
		(void)snprintf(buf, size, "the system");
}

const struct lp_limit_kind lp_file_descriptors = {
        .name = "file-descriptors",
        .label = "descriptors",
        .refuses = "open(), socket(), accept(): Too many open files (EMFILE, ENFILE)",
        .of_machine = true,
        .collect = collect,
        .scope = scope,
        .where = where,
};
