/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/cgroup.h"
#include "kernel/ledger.h"
#include "kernel/owners_tally.h"
#include "kernel/scan.h"

void lp_owner_notes_done(struct lp_owner_notes *notes)
{
	lp_sightings_done(&notes->sightings);
	lp_sockfds_done(&notes->sockets);
	lp_ledger_close(notes->ledger);
}

void lp_owner_notes_begin(struct lp_owner_notes *notes)
{
	struct lp_error why = {0};
	int r = lp_ledger_open(lp_bpffs(), &notes->ledger, &why);
	notes->ledger_closed = r < 0 && r != -ENOENT;
	notes->sightings.time_waits = r == 0;
}

/* ---- which sockets ------------------------------------------------------------------------- */

/* Keeps the sightings of the pools that matter. */
static void choose_sightings(const struct lp_tallies *tallies)
{
	struct lp_sightings *sightings = &tallies->notes->sightings;
	size_t kept = 0;
	for (size_t i = 0; i < sightings->n; i++)
		if (lp_tally_of(tallies, sightings->items[i].pool))
			sightings->items[kept++] = sightings->items[i];
	sightings->n = kept;
}

/* Whether a process holds one of them that was not found yet. */
static bool any_not_held(const struct lp_owner_notes *notes)
{
	const struct lp_sightings *sightings = &notes->sightings;
	const struct lp_sockfd *first;
	for (size_t i = 0; i < sightings->n; i++)
		if (sightings->items[i].inode &&
		    !lp_sockfds_of(&notes->sockets, sightings->items[i].inode, &first))
			return true;
	return false;
}

static int find_holders(const struct lp_kernel *kernel, struct lp_owner_notes *notes)
{
	struct lp_sockfds *sockets = &notes->sockets;
	lp_sockfds_sort(sockets);
	if (!sockets->n_unsearched || !any_not_held(notes))
		return 0;
	int r = lp_sockfds_search(kernel, sockets);
	lp_sockfds_sort(sockets);
	return r;
}

/* ---- who they are -------------------------------------------------------------------------- */

struct naming {
	const struct lp_kernel *kernel;
	struct lp_snapshot *snapshot;
	struct lp_cgroups cgroups;
	bool opened; /* it was tried to open them */
};

static bool is_same(const struct lp_owner *a, const struct lp_owner *b)
{
	if (a->ended != b->ended)
		return false;
	return a->ended ? a->cgroup_id && a->cgroup_id == b->cgroup_id : a->pid == b->pid;
}

/* An owner of the pools before this one that has the same cgroup, a living one the same command. */
static const struct lp_owner *told_before(const struct lp_snapshot *snapshot, size_t pool,
                                          const struct lp_owner *owner)
{
	for (size_t i = 0; i < pool; i++)
		for (size_t k = 0; k < snapshot->owners[i].n; k++)
			if (is_same(&snapshot->owners[i].items[k], owner))
				return &snapshot->owners[i].items[k];
	return NULL;
}

static void read_command(const struct lp_snapshot *snapshot, struct lp_owner *owner)
{
	for (size_t i = 0; i < snapshot->n_processes; i++)
		if (snapshot->processes[i].pid == owner->pid) {
			memcpy(owner->command, snapshot->processes[i].command,
			       sizeof(owner->command));
			return;
		}
}

static int path_by_number(struct naming *naming, uint64_t id, char *path, size_t size)
{
	if (!naming->opened)
		(void)lp_cgroups_open(naming->kernel, &naming->cgroups);
	naming->opened = true;
	if (!id || naming->cgroups.mount < 0)
		return -ENOENT;
	return lp_cgroups_path(&naming->cgroups, id, path, size);
}

/* What a living process says itself: of a version 1 hierarchy too. */
static int read_cgroup(struct naming *naming, struct lp_owner *owner)
{
	char path[LP_CGROUP_PATH];
	int r = owner->ended || *owner->command
	                ? -ENOENT
	                : lp_cgroup_of(naming->kernel, owner->pid, path, sizeof(path));
	if (r < 0 && r != -ENOMEM)
		r = path_by_number(naming, owner->cgroup_id, path, sizeof(path));
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* gone: not known */
	owner->cgroup = strdup(path);
	return owner->cgroup ? 0 : -ENOMEM;
}

static int name_owner(struct naming *naming, size_t pool, struct lp_owner *owner)
{
	const struct lp_owner *before = told_before(naming->snapshot, pool, owner);
	bool told = *owner->command; /* by the ledger */
	if (!before) {
		int r = read_cgroup(naming, owner);
		if (!told)
			read_command(naming->snapshot, owner);
		return r;
	}
	if (!told)
		memcpy(owner->command, before->command, sizeof(owner->command));
	owner->cgroup = before->cgroup ? strdup(before->cgroup) : NULL;
	return before->cgroup && !owner->cgroup ? -ENOMEM : 0;
}

static void naming_done(struct naming *naming)
{
	lp_cgroups_close(&naming->cgroups);
}

static int name_all(const struct lp_kernel *kernel, struct lp_snapshot *snapshot)
{
	_cleanup_(naming_done) struct naming naming = {
	        .kernel = kernel, .snapshot = snapshot, .cgroups = LP_CGROUPS_NONE};
	int r = 0;
	for (size_t i = 0; i < snapshot->n_owners; i++)
		for (size_t k = 0; k < snapshot->owners[i].n && r == 0; k++)
			r = name_owner(&naming, i, &snapshot->owners[i].items[k]);
	return r;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int compare_pools(const void *a, const void *b)
{
	const struct lp_tally *x = a, *y = b;
	return (x->pool > y->pool) - (x->pool < y->pool);
}

static int count_all(struct lp_tallies *tallies)
{
	const struct lp_sightings *sightings = &tallies->notes->sightings;
	choose_sightings(tallies);
	int r = find_holders(tallies->kernel, tallies->notes);
	for (size_t i = 0; i < sightings->n && r == 0; i++)
		r = lp_tally_sighting(tallies, &sightings->items[i]);
	for (size_t i = 0; i < tallies->n && r == 0; i++)
		lp_tally_finish(tallies, &tallies->items[i]);
	return r;
}

int lp_owners_find(const struct lp_kernel *kernel, struct lp_owner_notes *notes,
                   struct lp_snapshot *snapshot, const struct lp_owner_wish *wishes, size_t n)
{
	_cleanup_(lp_tallies_done) struct lp_tallies tallies = {
	        .kernel = kernel, .notes = notes, .snapshot = snapshot};
	tallies.n = n < LP_OWNERS_POOLS ? n : LP_OWNERS_POOLS;
	if (!tallies.n || notes->sightings.out_of_room)
		return 0;
	snapshot->owners = calloc(tallies.n, sizeof(*snapshot->owners));
	if (!snapshot->owners)
		return -ENOMEM;
	snapshot->n_owners = tallies.n;
	tallies.own_pids = notes->ledger && lp_processes_are_initial(kernel);
	for (size_t i = 0; i < tallies.n; i++) {
		snapshot->owners[i].pool = wishes[i].pool;
		tallies.items[i] = (struct lp_tally){
		        .pool = lp_sightings_pool(wishes[i].netns, &wishes[i].pool->key),
		        .owners = &snapshot->owners[i],
		};
	}
	qsort(tallies.items, tallies.n, sizeof(tallies.items[0]), compare_pools);
	int r = count_all(&tallies);
	return r < 0 ? r : name_all(kernel, snapshot);
}
