/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which process a number means: numbers are given again. */

#include "kernel/ledger.h"
#include "kernel/scan.h"
#include "kernel/text.h"

/* A start as /proc/PID/stat has it, in the caller's time namespace (fs/proc/array.c). */
static uint64_t ticks_of(const struct lp_kernel *kernel, uint64_t start_ns)
{
	enum { NS_A_TICK = 10000000 }; /* USER_HZ is 100 wherever lastport runs */
	return (start_ns + (uint64_t)kernel->timens.boottime_ns) / NS_A_TICK;
}

/* When the process of that number began, in those ticks. False: none runs. */
static bool find_start(const struct lp_kernel *kernel, pid_t pid, uint64_t *ret)
{
	char path[32], buf[LP_TEXT_SMALL];
	struct lp_stat stat;
	(void)snprintf(path, sizeof(path), "%d/stat", pid);
	if (lp_read_text(kernel->proc, path, buf, sizeof(buf)) < 0 ||
	    lp_stat_parse(buf, &stat) < 0 || lp_stat_is_ended(&stat))
		return false;
	*ret = stat.start;
	return true;
}

static bool began_at(const struct lp_kernel *kernel, const struct lp_ledger_party *party,
                     uint64_t start)
{
	return ticks_of(kernel, party->start_ns) == start;
}

bool lp_ledger_party_runs(const struct lp_kernel *kernel, const struct lp_ledger_party *party)
{
	uint64_t start;
	return find_start(kernel, party->pid, &start) && began_at(kernel, party, start);
}

/* The later of `last` and when the party began, if it has that number. */
static uint64_t later(const struct lp_kernel *kernel, pid_t pid, uint64_t last,
                      const struct lp_ledger_party *party)
{
	uint64_t start = party->pid == pid ? ticks_of(kernel, party->start_ns) : 0;
	return start > last ? start : last;
}

/* The start of the last process of that number that the ledger knows. 0: of none. */
static uint64_t last_start(const struct lp_kernel *kernel, const struct lp_ledger_facts *facts,
                           pid_t pid)
{
	uint64_t last = 0;
	for (size_t i = 0; i < facts->n_actors; i++)
		last = later(kernel, pid, last, &facts->actors[i].party);
	for (size_t i = 0; i < facts->n_refusals; i++)
		last = later(kernel, pid, last, &facts->refusals[i].party);
	return last;
}

void lp_ledger_mean(const struct lp_kernel *kernel, pid_t pid, struct lp_ledger_facts *facts)
{
	size_t actors = 0, refusals = 0;
	uint64_t start;
	if (!find_start(kernel, pid, &start))
		start = last_start(kernel, facts, pid);
	for (size_t i = 0; i < facts->n_actors; i++) {
		const struct lp_ledger_actor actor = facts->actors[i];
		if (actor.party.pid != pid || began_at(kernel, &actor.party, start))
			facts->actors[actors++] = actor;
	}
	for (size_t i = 0; i < facts->n_refusals; i++) {
		const struct lp_ledger_refusal refusal = facts->refusals[i];
		if (refusal.party.pid != pid || began_at(kernel, &refusal.party, start))
			facts->refusals[refusals++] = refusal;
		else
			facts->refused -= refusal.refused;
	}
	facts->n_actors = actors;
	facts->n_refusals = refusals;
}
