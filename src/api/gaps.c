/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/gaps.h"

#include <stdlib.h>
#include <string.h>

#include "limit/kinds.h"

static bool is_among(const char *what, const char *const *list)
{
	while (*list && strcmp(*list, what) != 0)
		list++;
	return *list != NULL;
}

bool lp_gap_concerns(const struct lp_gap *gap, const struct lp_limit_kind *kind)
{
	/* not sockstat: it has figures of the machine too */
	static const char *const of_netns[] = {"sockets", "sysctls", "namespaces", NULL};
	static const char *const of_machine[] = {"machine", "processes", NULL};
	if (!strcmp(gap->what, "processes"))
		return kind == &lp_file_descriptors;
	if (!strcmp(gap->what, "bind-ports"))
		return kind == &lp_bind_ports;
	if (!strcmp(gap->what, "syn-queue"))
		return kind == &lp_syn_queue;
	if (!strcmp(gap->what, "owners"))
		return false; /* takes nothing from a figure */
	if (!strcmp(gap->what, "counters"))
		return kind == &lp_accept_queue || kind == &lp_syn_queue;
	if (!strcmp(gap->what, "conntrack"))
		return kind == &lp_conntrack_entries || kind == &lp_snat_ports;
	if (!strcmp(gap->what, "nat-rules"))
		return kind == &lp_snat_ports;
	return !is_among(gap->what, kind->of_machine ? of_netns : of_machine);
}

static bool is_all(const char *netns)
{
	return !netns || !strcmp(netns, "all");
}

static bool is_seen(const struct lp_snapshot *snapshot, uint64_t inode)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].inode == inode)
			return true;
	return false;
}

/* One namespace that was asked for by name is there, or the look had failed. */
static bool concerns_netns(const struct lp_gap *gap, const struct lp_snapshot *snapshot,
                           const char *netns)
{
	if (is_all(netns))
		return true;
	if (!gap->netns)
		return strcmp(gap->what, "namespaces") != 0;
	return is_seen(snapshot, gap->netns);
}

void lp_gaps_select(struct lp_snapshot *snapshot, const char *netns,
                    const struct lp_limit_kind *only)
{
	size_t kept = 0;
	for (size_t i = 0; i < snapshot->n_gaps; i++) {
		struct lp_gap *gap = &snapshot->gaps[i];
		if (concerns_netns(gap, snapshot, netns) && (!only || lp_gap_concerns(gap, only)))
			snapshot->gaps[kept++] = *gap;
		else
			free(gap->why);
	}
	snapshot->n_gaps = kept;
}

void lp_log_select(struct lp_snapshot *snapshot, const char *netns,
                   const struct lp_limit_kind *only)
{
	struct lp_log *log = &snapshot->log;
	size_t kept = 0;
	for (size_t i = 0; i < log->n; i++) {
		const struct lp_log_entry *entry = &log->entries[i];
		bool of_kind = !only || !strcmp(lp_log_kinds[entry->what].limit, only->name);
		bool of_netns = is_all(netns) || !entry->netns || is_seen(snapshot, entry->netns);
		if (of_kind && of_netns)
			log->entries[kept++] = *entry;
	}
	log->n = kept;
}
