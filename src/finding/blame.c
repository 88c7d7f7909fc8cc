/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/blame.h"

#include <fnmatch.h>
#include <stdio.h>

#include "snapshot/cgroup.h"

bool lp_machine_runs(const struct lp_judging *judging, const struct lp_advice *advice)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	for (size_t i = 0; i < snapshot->n_processes; i++)
		for (size_t k = 0; k < LP_ADVICE_NAMES && advice->names[k]; k++)
			if (fnmatch(advice->names[k], snapshot->processes[i].command, 0) == 0)
				return true;
	return false;
}

/* Envoy beside Istio's agent is configured by Istio. */
static const struct lp_advice *advice_for(const struct lp_judging *judging, const char *command,
                                          pid_t pid)
{
	const struct lp_program *program = lp_snapshot_program(judging->facts->snapshot, pid);
	const struct lp_advice *advice = lp_advice_for(command, program);
	const struct lp_advice *istio = lp_advice_find("Istio");
	if (advice && advice == lp_advice_find("Envoy") && lp_machine_runs(judging, istio))
		return istio;
	return advice;
}

struct lp_blame lp_blame_of_pool(const struct lp_judging *judging, const struct lp_pool *pool)
{
	const struct lp_pool_owners *owners = lp_owners_of(judging->facts->snapshot, pool);
	struct lp_blame blame = {0};
	struct lp_cgroup_names names = {0};
	if (!owners || !owners->n)
		return blame;
	const struct lp_owner *owner = &owners->items[0];
	if (owner->cgroup)
		lp_cgroup_names(owner->cgroup, &names);
	if (*names.unit)
		(void)snprintf(blame.who, sizeof(blame.who), "%s (%s)", owner->command, names.unit);
	else if (owner->pid)
		(void)snprintf(blame.who, sizeof(blame.who), "%s (%d)", owner->command, owner->pid);
	else
		(void)snprintf(blame.who, sizeof(blame.who), "%s", owner->command);
	blame.advice = advice_for(judging, owner->command, owner->pid);
	return blame;
}

struct lp_blame lp_blame_of_listener(const struct lp_judging *judging, size_t netns, uint16_t port)
{
	const struct lp_netns *where = &judging->facts->snapshot->netns[netns];
	struct lp_blame blame = {0};
	for (size_t i = 0; i < where->n_pools && !*blame.who; i++)
		if (where->pools[i].key.side == LP_ACCEPTED && where->pools[i].key.port == port)
			blame = lp_blame_of_pool(judging, &where->pools[i]);
	return blame;
}

struct lp_blame lp_blame_of_process(const struct lp_judging *judging,
                                    const struct lp_process *process)
{
	struct lp_blame blame = {.advice = advice_for(judging, process->command, process->pid)};
	(void)snprintf(blame.who, sizeof(blame.who), "%s (%d)", process->command, process->pid);
	return blame;
}

void lp_remedy_advice(struct lp_remedy *remedy, const struct lp_advice *advice, const char *step)
{
	if (advice && step)
		lp_remedy_step(remedy, "%s: %s", advice->name, step);
}

void lp_remedy_documented(struct lp_remedy *remedy, const struct lp_advice *advice)
{
	if (advice)
		lp_remedy_step(remedy, "%s", advice->documented);
}
