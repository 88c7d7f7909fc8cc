/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "kernel/cgroup.h"

enum { TALLIED = 256 }; /* owners of a pool that are kept apart until the listed ones are chosen */

/* The owners of one pool as they are counted. */
struct tally {
	uint64_t pool; /* as sightings name it */
	struct lp_pool_owners *owners;
	size_t room;
	size_t last;      /* whose socket came before: mostly the next one's too */
	uint64_t sighted; /* live connections, as many as those stand for */
};

struct find {
	const struct lp_kernel *kernel;
	struct lp_owner_notes *notes;
	struct tally tallies[LP_OWNERS_POOLS]; /* by pool */
	size_t n;
};

void lp_owner_notes_done(struct lp_owner_notes *notes)
{
	lp_sightings_done(&notes->sightings);
	lp_sockfds_done(&notes->sockets);
}

static int compare_tallies(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;
	return (x->pool > y->pool) - (x->pool < y->pool);
}

static struct tally *tally_of(struct find *find, uint64_t pool)
{
	const struct tally key = {.pool = pool};
	return bsearch(&key, find->tallies, find->n, sizeof(key), compare_tallies);
}

/* ---- which sockets ------------------------------------------------------------------------- */

/* Keeps the sightings of the pools that matter. */
static void choose_sightings(struct find *find)
{
	struct lp_sightings *sightings = &find->notes->sightings;
	size_t kept = 0;
	for (size_t i = 0; i < sightings->n; i++)
		if (tally_of(find, sightings->items[i].pool))
			sightings->items[kept++] = sightings->items[i];
	sightings->n = kept;
}

/* Whether a process holds it that was not found yet. */
static bool any_not_held(const struct find *find)
{
	const struct lp_sightings *sightings = &find->notes->sightings;
	const struct lp_sockfd *first;
	for (size_t i = 0; i < sightings->n; i++)
		if (sightings->items[i].inode &&
		    !lp_sockfds_of(&find->notes->sockets, sightings->items[i].inode, &first))
			return true;
	return false;
}

static int find_holders(struct find *find)
{
	struct lp_sockfds *sockets = &find->notes->sockets;
	lp_sockfds_sort(sockets);
	if (!sockets->n_unsearched || !any_not_held(find))
		return 0;
	int r = lp_sockfds_search(find->kernel, sockets);
	lp_sockfds_sort(sockets);
	return r;
}

/* ---- counting ------------------------------------------------------------------------------ */

/* The owner with this pid, made if new; NULL where there is no room for more of them. */
static struct lp_owner *owner_of(struct tally *tally, pid_t pid)
{
	struct lp_pool_owners *owners = tally->owners;
	if (tally->last < owners->n && owners->items[tally->last].pid == pid)
		return &owners->items[tally->last];
	for (size_t i = 0; i < owners->n; i++)
		if (owners->items[i].pid == pid) {
			tally->last = i;
			return &owners->items[i];
		}
	if (owners->n == TALLIED ||
	    !lp_array_grow(&owners->items, &tally->room, owners->n, sizeof(*owners->items)))
		return NULL;
	tally->last = owners->n;
	struct lp_owner *owner = &owners->items[owners->n++];
	*owner = (struct lp_owner){.pid = pid};
	return owner;
}

/* What a live socket that nobody holds waits for. */
static enum lp_unowned unheld(unsigned state)
{
	bool waits = state == LP_SYN_RECV || state == LP_ESTABLISHED || state == LP_CLOSE_WAIT;
	return waits ? LP_UNOWNED_WAITING : LP_UNOWNED_CLOSED;
}

static void count_sighting(const struct find *find, const struct lp_sighting *sighting)
{
	const struct lp_sockfds *sockets = &find->notes->sockets;
	struct tally *tally = tally_of((struct find *)find, sighting->pool);
	uint32_t weight = 1U << find->notes->sightings.shift;
	struct lp_pool_owners *owners = tally->owners;
	const struct lp_sockfd *first;
	tally->sighted += weight;
	if (!sighting->inode) {
		owners->unowned[unheld(sighting->state)] += weight;
		return;
	}
	size_t n = lp_sockfds_of(sockets, sighting->inode, &first);
	if (!n) {
		owners->unowned[sockets->hidden ? LP_UNOWNED_HIDDEN : LP_UNOWNED_UNSEEN] += weight;
		return;
	}
	weight *= first->weight;
	struct lp_owner *owner = owner_of(tally, first->pid);
	if (!owner) {
		owners->unlisted += weight;
		return;
	}
	owner->states[sighting->state] += weight;
	if (n - 1 > owner->sharing)
		owner->sharing = (uint32_t)(n - 1);
}

static int compare_owners(const void *a, const void *b)
{
	const struct lp_owner *x = a, *y = b;
	uint64_t of_x = lp_owner_total(x), of_y = lp_owner_total(y);
	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/*
 * Where each k-th descriptor was looked at, those of one process stand for k each, and not having
 * found a socket says nothing: what is left of the pool is shared out by what was found.
 */
static void settle_sample(struct lp_pool_owners *owners)
{
	owners->unowned[LP_UNOWNED_UNSEEN] = 0;
	owners->exact = false;
}

static void finish_tally(const struct find *find, struct tally *tally)
{
	struct lp_pool_owners *owners = tally->owners;
	const struct lp_pool *pool = owners->pool;
	uint64_t live = 0;
	for (int state = 0; state < LP_STATES; state++)
		live += state == LP_TIME_WAIT ? 0 : pool->states[state];
	owners->exact = find->notes->sightings.shift == 0;
	if (find->notes->sockets.sampled)
		settle_sample(owners);
	else if (owners->exact && live > tally->sighted)
		owners->unowned[LP_UNOWNED_UNTOLD] = live - tally->sighted;
	owners->unowned[LP_UNOWNED_LEDGER_OFF] = pool->states[LP_TIME_WAIT];
	if (owners->n)
		qsort(owners->items, owners->n, sizeof(*owners->items), compare_owners);
	while (owners->n > LP_OWNERS_LISTED)
		owners->unlisted += lp_owner_total(&owners->items[--owners->n]);
}

/* ---- who they are -------------------------------------------------------------------------- */

/* What was told of a process before. */
static const struct lp_owner *told_before(const struct lp_snapshot *snapshot, size_t pool,
                                          pid_t pid)
{
	for (size_t i = 0; i < pool; i++)
		for (size_t k = 0; k < snapshot->owners[i].n; k++)
			if (snapshot->owners[i].items[k].pid == pid)
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

static int read_cgroup(const struct lp_kernel *kernel, struct lp_owner *owner)
{
	char path[LP_CGROUP_PATH];
	int r = lp_cgroup_of(kernel, owner->pid, path, sizeof(path));
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* gone: not known */
	owner->cgroup = strdup(path);
	return owner->cgroup ? 0 : -ENOMEM;
}

static int name_owner(const struct lp_kernel *kernel, struct lp_snapshot *snapshot, size_t pool,
                      struct lp_owner *owner)
{
	const struct lp_owner *before = told_before(snapshot, pool, owner->pid);
	if (!before) {
		read_command(snapshot, owner);
		return read_cgroup(kernel, owner);
	}
	memcpy(owner->command, before->command, sizeof(owner->command));
	owner->cgroup = before->cgroup ? strdup(before->cgroup) : NULL;
	return before->cgroup && !owner->cgroup ? -ENOMEM : 0;
}

static int name_all(const struct find *find, struct lp_snapshot *snapshot)
{
	int r = 0;
	for (size_t i = 0; i < snapshot->n_owners; i++)
		for (size_t k = 0; k < snapshot->owners[i].n && r == 0; k++)
			r = name_owner(find->kernel, snapshot, i, &snapshot->owners[i].items[k]);
	return r;
}

/* ---- the whole ----------------------------------------------------------------------------- */

int lp_owners_find(const struct lp_kernel *kernel, struct lp_owner_notes *notes,
                   struct lp_snapshot *snapshot, const struct lp_owner_wish *wishes, size_t n)
{
	struct find find = {.kernel = kernel, .notes = notes};
	find.n = n < LP_OWNERS_POOLS ? n : LP_OWNERS_POOLS;
	if (!find.n || notes->sightings.out_of_room)
		return 0;
	snapshot->owners = calloc(find.n, sizeof(*snapshot->owners));
	if (!snapshot->owners)
		return -ENOMEM;
	snapshot->n_owners = find.n;
	for (size_t i = 0; i < find.n; i++) {
		snapshot->owners[i].pool = wishes[i].pool;
		find.tallies[i] = (struct tally){
		        .pool = lp_sightings_pool(wishes[i].netns, &wishes[i].pool->key),
		        .owners = &snapshot->owners[i],
		};
	}
	qsort(find.tallies, find.n, sizeof(find.tallies[0]), compare_tallies);
	choose_sightings(&find);
	int r = find_holders(&find);
	for (size_t i = 0; i < notes->sightings.n && r == 0; i++)
		count_sighting(&find, &notes->sightings.items[i]);
	for (size_t i = 0; i < find.n && r == 0; i++)
		finish_tally(&find, &find.tallies[i]);
	return r < 0 ? r : name_all(&find, snapshot);
}
