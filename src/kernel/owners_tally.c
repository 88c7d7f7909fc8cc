/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One socket after the other is put to whom it belongs. A live one is its holder's. One that is
 * closed, in TIME_WAIT or on the way there, is its first closer's: the ledger remembers that by
 * the cookie, which the socket keeps. Of processes that have ended there may be as many as
 * connections, so those of one command and cgroup count as one owner.
 */

#include "kernel/owners_tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "kernel/ledger.h"

enum { TALLIED = 256 }; /* owners of a pool that are kept apart until the listed ones are chosen */

void lp_tallies_done(struct lp_tallies *tallies)
{
	lp_inode_map_done(&tallies->names);
	lp_inode_map_done(&tallies->parties);
	free(tallies->named);
}

static int compare_tallies(const void *a, const void *b)
{
	const struct lp_tally *x = a, *y = b;
	return (x->pool > y->pool) - (x->pool < y->pool);
}

struct lp_tally *lp_tally_of(const struct lp_tallies *tallies, uint64_t pool)
{
	const struct lp_tally key = {.pool = pool};
	return bsearch(&key, tallies->items, tallies->n, sizeof(key), compare_tallies);
}

/* ---- owners -------------------------------------------------------------------------------- */

/* Appends an owner; LP_TALLY_NO_ROOM where there are too many. */
static uint32_t add_owner(const struct lp_tallies *tallies, struct lp_tally *tally,
                          const struct lp_owner *owner)
{
	struct lp_pool_owners *owners = tally->owners;
	if (owners->n == TALLIED ||
	    !lp_array_grow(&owners->items, &tally->room, owners->n, sizeof(*owners->items)))
		return LP_TALLY_NO_ROOM;
	struct lp_owner *added = &owners->items[owners->n];
	*added = *owner;
	if (tallies->notes->ledger)
		added->opened = added->closed_first = lp_figure(0);
	return (uint32_t)owners->n++;
}

/* Owners that the ledger alone knows have a command from the start. */
static bool is_living(const struct lp_owner *owner, pid_t pid)
{
	return !*owner->command && owner->pid == pid;
}

/* The living process with this pid. */
static uint32_t owner_by_pid(const struct lp_tallies *tallies, struct lp_tally *tally, pid_t pid)
{
	struct lp_pool_owners *owners = tally->owners;
	size_t i = tally->last;
	if (i >= owners->n || !is_living(&owners->items[i], pid))
		for (i = 0; i < owners->n && !is_living(&owners->items[i], pid); i++)
			;
	tally->last = i;
	if (i < owners->n)
		return (uint32_t)i;
	const struct lp_owner owner = {.pid = pid, .processes = 1};
	return add_owner(tallies, tally, &owner);
}

/* ---- whom the ledger names ----------------------------------------------------------------- */

/* Whether the pool has met that process before: the ledger may have two names for one. */
static int is_new_party(struct lp_tallies *tallies, const struct lp_tally *tally,
                        const struct lp_ledger_party *party)
{
	uint64_t pool = (uint64_t)(tally - tallies->items) + 1;
	size_t number;
	return lp_inode_map_add(&tallies->parties, party->start_ns,
	                        pool << 32 | (uint32_t)party->pid, &number);
}

/* Those that ended, by command and cgroup. */
static uint32_t owner_of_ended(struct lp_tallies *tallies, struct lp_tally *tally,
                               const struct lp_ledger_party *party)
{
	struct lp_pool_owners *owners = tally->owners;
	bool is_new = is_new_party(tallies, tally, party) != 0; /* counted, if memory is short */
	for (size_t i = 0; i < owners->n; i++) {
		struct lp_owner *owner = &owners->items[i];
		if (owner->ended == tallies->own_pids && owner->cgroup_id == party->cgroup_id &&
		    owner->cgroup_id && !strcmp(owner->command, party->command)) {
			owner->processes += is_new;
			return (uint32_t)i;
		}
	}
	struct lp_owner owner = {.pid = party->pid,
	                         .processes = 1,
	                         .ended = tallies->own_pids,
	                         .cgroup_id = party->cgroup_id};
	memcpy(owner.command, party->command, sizeof(owner.command));
	return add_owner(tallies, tally, &owner);
}

static uint32_t find_named(struct lp_tallies *tallies, struct lp_tally *tally, uint32_t name)
{
	struct lp_ledger_party party;
	if (!lp_ledger_party(tallies->notes->ledger, name, &party))
		return LP_TALLY_NOBODY;
	if (!tallies->own_pids || !lp_ledger_party_runs(tallies->kernel, &party))
		return owner_of_ended(tallies, tally, &party);
	uint32_t owner = owner_by_pid(tallies, tally, party.pid);
	if (owner < TALLIED)
		tally->owners->items[owner].cgroup_id = party.cgroup_id;
	return owner;
}

/* The owner whom the ledger calls so, or LP_TALLY_NOBODY, LP_TALLY_NO_ROOM. 0 or -ENOMEM. */
static int owner_by_name(struct lp_tallies *tallies, struct lp_tally *tally, uint32_t name,
                         uint32_t *ret)
{
	uint64_t pool = (uint64_t)(tally - tallies->items) + 1;
	size_t number;
	*ret = LP_TALLY_NOBODY;
	if (name == LP_LEDGER_NOBODY)
		return 0;
	int r = lp_inode_map_add(&tallies->names, pool << 32 | name, 0, &number);
	if (r < 0)
		return r;
	if (r > 0) {
		if (!lp_array_grow(&tallies->named, &tallies->room_named, number,
		                   sizeof(*tallies->named)))
			return -ENOMEM;
		tallies->named[number] = find_named(tallies, tally, name);
	}
	*ret = tallies->named[number];
	return 0;
}

/* ---- counting ------------------------------------------------------------------------------ */

/* Counts for an owner, or for those that have no room. False: nobody is named. */
static bool count_for(struct lp_tally *tally, uint32_t owner, unsigned state, uint32_t weight)
{
	if (owner == LP_TALLY_NOBODY)
		return false;
	if (owner == LP_TALLY_NO_ROOM)
		tally->owners->unlisted += weight;
	else
		tally->owners->items[owner].states[state] += weight;
	return true;
}

/* What a live socket that nobody holds waits for. */
static enum lp_unowned unheld(unsigned state)
{
	bool waits = state == LP_SYN_RECV || state == LP_ESTABLISHED || state == LP_CLOSE_WAIT;
	return waits ? LP_UNOWNED_WAITING : LP_UNOWNED_CLOSED;
}

static void count_held(const struct lp_tallies *tallies, struct lp_tally *tally,
                       const struct lp_sighting *sighting, uint32_t weight)
{
	const struct lp_sockfds *sockets = &tallies->notes->sockets;
	const struct lp_sockfd *first;
	size_t n = lp_sockfds_of(sockets, sighting->inode, &first);
	if (!n) {
		enum lp_unowned why = sockets->hidden ? LP_UNOWNED_HIDDEN : LP_UNOWNED_UNSEEN;
		tally->owners->unowned[why] += weight;
		return;
	}
	uint32_t owner = owner_by_pid(tallies, tally, first->pid);
	(void)count_for(tally, owner, sighting->state, weight * first->weight);
	if (owner < TALLIED && n - 1 > tally->owners->items[owner].sharing)
		tally->owners->items[owner].sharing = (uint32_t)(n - 1);
}

/* Why the ledger knows nothing of a TIME_WAIT. */
static enum lp_unowned not_in_ledger(const struct lp_tallies *tallies)
{
	enum { STAYS_MS = 122000 }; /* a minute as FIN_WAIT2 and one as TIME_WAIT at most */
	const struct lp_owner_notes *notes = tallies->notes;
	if (!notes->ledger)
		return notes->ledger_closed ? LP_UNOWNED_LEDGER_CLOSED : LP_UNOWNED_LEDGER_OFF;
	int64_t age = tallies->snapshot->taken_at_ms - lp_ledger_since_ms(notes->ledger);
	if (age >= STAYS_MS)
		return LP_UNOWNED_LEDGER_LOST;
	return lp_ledger_lost(notes->ledger) ? LP_UNOWNED_LEDGER_EITHER : LP_UNOWNED_BEFORE_LEDGER;
}

/* A socket that no process holds: who closed it is what the ledger knows. */
static int count_closed(struct lp_tallies *tallies, struct lp_tally *tally,
                        const struct lp_sighting *sighting, const struct lp_ledger_life *life,
                        uint32_t weight)
{
	uint32_t owner = LP_TALLY_NOBODY;
	bool first = life && life->flags & LP_LEDGER_CLOSED_FIRST;
	int r = first ? owner_by_name(tallies, tally, life->closer, &owner) : 0;
	if (r < 0)
		return r;
	if (count_for(tally, owner, sighting->state, weight)) {
		if (owner < TALLIED)
			tally->owners->items[owner].closed_first.n += weight;
		return 0;
	}
	enum lp_unowned why = unheld(sighting->state);
	if (sighting->state == LP_TIME_WAIT)
		why = first ? LP_UNOWNED_NOBODY : not_in_ledger(tallies);
	tally->owners->unowned[why] += weight;
	return 0;
}

static int count_opened(struct lp_tallies *tallies, struct lp_tally *tally,
                        const struct lp_ledger_life *life, uint32_t weight)
{
	uint32_t owner;
	int r = owner_by_name(tallies, tally, life->opener, &owner);
	if (r == 0 && owner < TALLIED)
		tally->owners->items[owner].opened.n += weight;
	return r;
}

int lp_tally_sighting(struct lp_tallies *tallies, const struct lp_sighting *sighting)
{
	struct lp_tally *tally = lp_tally_of(tallies, sighting->pool);
	uint32_t weight = 1U << tallies->notes->sightings.shift;
	struct lp_ledger_life life;
	bool known = tallies->notes->ledger &&
	             lp_ledger_find(tallies->notes->ledger, sighting->cookie, &life);
	if (sighting->state == LP_TIME_WAIT)
		tally->sighted_time_waits += weight;
	else
		tally->sighted += weight;
	int r = 0;
	if (sighting->inode)
		count_held(tallies, tally, sighting, weight);
	else
		r = count_closed(tallies, tally, sighting, known ? &life : NULL, weight);
	return r < 0 || !known ? r : count_opened(tallies, tally, &life, weight);
}

/* ---- the end ------------------------------------------------------------------------------- */

static int compare_owners(const void *a, const void *b)
{
	const struct lp_owner *x = a, *y = b;
	uint64_t of_x = lp_owner_total(x), of_y = lp_owner_total(y);
	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* What was counted but not seen one by one. */
static void count_rest(const struct lp_tallies *tallies, struct lp_tally *tally)
{
	struct lp_pool_owners *owners = tally->owners;
	const struct lp_pool *pool = owners->pool;
	uint64_t live = 0, time_waits = pool->states[LP_TIME_WAIT];
	for (int state = 0; state < LP_STATES; state++)
		live += state == LP_TIME_WAIT ? 0 : pool->states[state];
	if (!tallies->notes->ledger)
		owners->unowned[not_in_ledger(tallies)] = time_waits;
	else if (owners->exact && time_waits > tally->sighted_time_waits)
		owners->unowned[LP_UNOWNED_UNTOLD] += time_waits - tally->sighted_time_waits;
	if (owners->exact && live > tally->sighted)
		owners->unowned[LP_UNOWNED_UNTOLD] += live - tally->sighted;
}

void lp_tally_finish(const struct lp_tallies *tallies, struct lp_tally *tally)
{
	struct lp_pool_owners *owners = tally->owners;
	owners->exact = tallies->notes->sightings.shift == 0;
	count_rest(tallies, tally);
	if (tallies->notes->sockets.sampled) {
		/* descriptors found stand for others, so that not finding one says nothing */
		owners->unowned[LP_UNOWNED_UNSEEN] = 0;
		owners->exact = false;
	}
	if (owners->n)
		qsort(owners->items, owners->n, sizeof(*owners->items), compare_owners);
	while (owners->n > LP_OWNERS_LISTED)
		owners->unlisted += lp_owner_total(&owners->items[--owners->n]);
}
