/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The whole of the ledger, out of its tables. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "kernel/bpf_call.h"
#include "kernel/ledger.h"
#include "kernel/ledger_rows.h"
#include "kernel/scan.h"

_Static_assert(LP_SEARCH_TIMES == LP_LEDGER_TIMES, "the model's are the program's");

void lp_ledger_copy_party(const struct lp_ledger_process *process, const char command[16],
                          struct lp_ledger_party *ret)
{
	*ret = (struct lp_ledger_party){
	        .netns = {process->netns, process->netns_cookie},
	        .cgroup_id = process->cgroup,
	        .start_ns = process->start,
	        .pid = (pid_t)process->pid,
	};
	memcpy(ret->command, command, sizeof(ret->command));
	ret->command[sizeof(ret->command) - 1] = '\0';
	lp_utf8_clean(ret->command);
}

static bool in_use(uint64_t seen)
{
	return seen != 0 && seen != LP_LEDGER_BUSY;
}

static struct lp_address address_of(const struct lp_ledger_destination *to)
{
	return lp_address_make(to->family, to->remote, to->ifindex);
}

/* The ledger while it is read. */
struct reading {
	const struct lp_ledger *ledger;
	struct lp_ledger_facts *facts;
	int64_t wall_ms;
	uint64_t now; /* the same moment by the clock of the programs, ns */
};

/* A time of the programs in ms since the epoch. */
static int64_t wall_ms(const struct reading *reading, uint64_t ns)
{
	return reading->wall_ms - (int64_t)(reading->now - ns) / 1000000;
}

/* ---- what is there twice --------------------------------------------------------------------- */

/* How two of a kind are told to be one, and the second is added to the first. */
struct kind {
	size_t size;
	bool (*same)(const void *a, const void *b);
	void (*add)(void *a, const void *b);
};

/*
 * Two processors may both have made a row for what was new to both, in the same set: those from
 * `from` on. How many items are left.
 */
static size_t merge(const struct kind *kind, void *items, size_t from, size_t n)
{
	unsigned char *bytes = items;
	for (size_t i = from; i + 1 < n; i++) {
		void *one = bytes + i * kind->size;
		for (size_t k = i + 1; k < n;) {
			void *two = bytes + k * kind->size;
			if (!kind->same(one, two)) {
				k++;
				continue;
			}
			kind->add(one, two);
			memmove(two, bytes + --n * kind->size, kind->size);
		}
	}
	return n;
}

/* ---- owners -------------------------------------------------------------------------------- */

static bool same_party(const struct lp_ledger_party *a, const struct lp_ledger_party *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns &&
	       lp_netns_id_is(a->netns, b->netns) && a->cgroup_id == b->cgroup_id;
}

static int add_actor(struct lp_ledger_facts *facts, size_t *room,
                     const struct lp_ledger_owner *owner)
{
	if (!lp_array_grow(&facts->actors, room, facts->n_actors, sizeof(*facts->actors)))
		return -ENOMEM;
	struct lp_ledger_actor *actor = &facts->actors[facts->n_actors++];
	lp_ledger_copy_party(&owner->process, owner->command, &actor->party);
	actor->opened = owner->opened;
	actor->closed_first = owner->closed_first;
	actor->refused = owner->refused;
	facts->opened += owner->opened;
	facts->closed_first += owner->closed_first;
	facts->refused += owner->refused;
	return 0;
}

static int compare_actors(const void *a, const void *b)
{
	const struct lp_ledger_actor *x = a, *y = b;
	uint64_t of_x = x->opened + x->closed_first, of_y = y->opened + y->closed_first;
	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return x->party.pid - y->party.pid;
}

static bool same_actor(const void *a, const void *b)
{
	const struct lp_ledger_actor *x = a, *y = b;
	return same_party(&x->party, &y->party);
}

static void add_to_actor(void *a, const void *b)
{
	struct lp_ledger_actor *one = a;
	const struct lp_ledger_actor *two = b;
	one->opened += two->opened;
	one->closed_first += two->closed_first;
	one->refused += two->refused;
}

static const struct kind actor_kind = {sizeof(struct lp_ledger_actor), same_actor, add_to_actor};

static int read_actors(const struct reading *reading)
{
	const struct lp_ledger *ledger = reading->ledger;
	const struct lp_ledger_owner_set *sets = ledger->owners.rows;
	const struct lp_ledger_control *control = ledger->control;
	struct lp_ledger_facts *facts = reading->facts;
	size_t room = 0;
	facts->opened = control->gone_opened;
	facts->closed_first = control->gone_closed_first;
	facts->refused = control->gone_refused;
	for (uint32_t i = 0; i < ledger->owners.sets; i++) {
		size_t from = facts->n_actors;
		for (size_t way = 0; way < LP_LEDGER_WAYS; way++) {
			if (!in_use(LP_LEDGER_LOAD(sets[i].ways[way].seen)))
				continue;
			int r = add_actor(facts, &room, &sets[i].ways[way]);
			if (r < 0)
				return r;
		}
		facts->n_actors = merge(&actor_kind, facts->actors, from, facts->n_actors);
	}
	if (facts->n_actors)
		qsort(facts->actors, facts->n_actors, sizeof(*facts->actors), compare_actors);
	return 0;
}

/* ---- refused connects ---------------------------------------------------------------------- */

static int add_refusal(const struct reading *reading, size_t *room,
                       const struct lp_ledger_refused *row, enum lp_refusal why, uint64_t refused)
{
	struct lp_ledger_facts *facts = reading->facts;
	if (!refused)
		return 0;
	if (!lp_array_grow(&facts->refusals, room, facts->n_refusals, sizeof(*facts->refusals)))
		return -ENOMEM;
	struct lp_ledger_refusal *refusal = &facts->refusals[facts->n_refusals++];
	*refusal = (struct lp_ledger_refusal){
	        .remote = address_of(&row->to),
	        .port = row->to.port,
	        .why = why,
	        .refused = refused,
	        .first_ms = wall_ms(reading, row->first),
	        .last_ms = wall_ms(reading, row->seen),
	        .all = row->no_port + row->bound_port,
	        .all_ns = row->total_ns,
	};
	lp_ledger_copy_party(&row->process, row->command, &refusal->party);
	return 0;
}

static bool same_refused(const void *a, const void *b)
{
	const struct lp_ledger_refused *x = a, *y = b;
	return memcmp(&x->to, &y->to, sizeof(x->to)) == 0 &&
	       memcmp(&x->process, &y->process, sizeof(x->process)) == 0;
}

static void add_to_refused(void *a, const void *b)
{
	struct lp_ledger_refused *one = a;
	const struct lp_ledger_refused *two = b;
	one->seen = one->seen > two->seen ? one->seen : two->seen;
	one->first = one->first < two->first ? one->first : two->first;
	one->no_port += two->no_port;
	one->bound_port += two->bound_port;
	one->total_ns += two->total_ns;
}

static const struct kind refused_kind = {sizeof(struct lp_ledger_refused), same_refused,
                                         add_to_refused};

/* The rows of a set that are in use, each once. How many. */
static size_t copy_refused(const struct lp_ledger_refused_set *set,
                           struct lp_ledger_refused rows[LP_LEDGER_WAYS])
{
	size_t n = 0;
	for (size_t way = 0; way < LP_LEDGER_WAYS; way++)
		if (in_use(LP_LEDGER_LOAD(set->ways[way].seen)))
			rows[n++] = set->ways[way];
	return merge(&refused_kind, rows, 0, n);
}

static int compare_refusals(const void *a, const void *b)
{
	const struct lp_ledger_refusal *x = a, *y = b;
	if (x->refused != y->refused)
		return x->refused > y->refused ? -1 : 1;
	return x->party.pid - y->party.pid;
}

static int read_refusals(const struct reading *reading, uint64_t *used)
{
	const struct lp_ledger *ledger = reading->ledger;
	struct lp_ledger_facts *facts = reading->facts;
	const struct lp_ledger_refused_set *sets = ledger->refusals.rows;
	size_t room = 0;
	int r = 0;
	for (uint32_t i = 0; i < ledger->refusals.sets; i++) {
		struct lp_ledger_refused rows[LP_LEDGER_WAYS];
		size_t n = copy_refused(&sets[i], rows);
		*used += n;
		for (size_t k = 0; k < n && r == 0; k++) {
			r = add_refusal(reading, &room, &rows[k], LP_REFUSAL_NO_PORT,
			                rows[k].no_port);
			if (r == 0)
				r = add_refusal(reading, &room, &rows[k], LP_REFUSAL_BOUND_PORT,
				                rows[k].bound_port);
		}
	}
	if (facts->n_refusals)
		qsort(facts->refusals, facts->n_refusals, sizeof(*facts->refusals),
		      compare_refusals);
	return r;
}

/* ---- the search ---------------------------------------------------------------------------- */

static void copy_times(const struct reading *reading, const struct lp_ledger_search *row,
                       struct lp_ledger_search_times *ret)
{
	uint32_t now = (uint32_t)(reading->now >> LP_LEDGER_STRETCH_BITS);
	for (size_t i = 0; i < LP_SEARCH_TIMES; i++)
		ret->times[i] = row->times[i];
	for (size_t slot = 0; slot < 2; slot++) {
		bool recent = now - row->stretch[slot] <= 1;
		for (size_t i = 0; i < LP_SEARCH_TIMES; i++) {
			ret->times[i] += row->recent[slot][i];
			ret->recent[i] += recent ? row->recent[slot][i] : 0;
		}
	}
}

static int add_search(const struct reading *reading, size_t *room,
                      const struct lp_ledger_search *row)
{
	struct lp_ledger_facts *facts = reading->facts;
	if (!lp_array_grow(&facts->searches, room, facts->n_searches, sizeof(*facts->searches)))
		return -ENOMEM;
	struct lp_ledger_search_times *search = &facts->searches[facts->n_searches++];
	*search = (struct lp_ledger_search_times){
	        .netns = {row->to.netns, row->to.netns_cookie},
	        .remote = address_of(&row->to),
	        .port = row->to.port,
	        .total_ns = row->total_ns,
	        .unmeasured = row->unmeasured,
	};
	copy_times(reading, row, search);
	return 0;
}

static bool same_search(const void *a, const void *b)
{
	const struct lp_ledger_search_times *x = a, *y = b;
	return lp_netns_id_is(x->netns, y->netns) && x->port == y->port &&
	       lp_address_equal(&x->remote, &y->remote);
}

static void add_to_search(void *a, const void *b)
{
	struct lp_ledger_search_times *one = a;
	const struct lp_ledger_search_times *two = b;
	one->total_ns += two->total_ns;
	one->unmeasured += two->unmeasured;
	for (size_t i = 0; i < LP_SEARCH_TIMES; i++) {
		one->times[i] += two->times[i];
		one->recent[i] += two->recent[i];
	}
}

static const struct kind search_kind = {sizeof(struct lp_ledger_search_times), same_search,
                                        add_to_search};

static int compare_searches(const void *a, const void *b)
{
	const struct lp_ledger_search_times *x = a, *y = b;
	uint64_t of_x = lp_search_count(x->times), of_y = lp_search_count(y->times);
	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return memcmp(&x->remote, &y->remote, sizeof(x->remote));
}

static int read_searches(const struct reading *reading)
{
	const struct lp_ledger *ledger = reading->ledger;
	struct lp_ledger_facts *facts = reading->facts;
	const struct lp_ledger_search_set *sets = ledger->searches.rows;
	size_t room = 0;
	int r = 0;
	for (uint32_t i = 0; i < ledger->searches.sets && r == 0; i++) {
		size_t from = facts->n_searches;
		for (size_t way = 0; way < LP_LEDGER_WAYS && r == 0; way++)
			if (in_use(LP_LEDGER_LOAD(sets[i].ways[way].seen)))
				r = add_search(reading, &room, &sets[i].ways[way]);
		facts->n_searches = merge(&search_kind, facts->searches, from, facts->n_searches);
	}
	if (facts->n_searches)
		qsort(facts->searches, facts->n_searches, sizeof(*facts->searches),
		      compare_searches);
	return r;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Nothing takes away the row of a TIME_WAIT that is over; it is free for the next one even so. */
static uint64_t sockets_used(const struct reading *reading)
{
	const struct lp_ledger_map *sockets = &reading->ledger->sockets;
	const struct lp_ledger_socket *rows = sockets->rows;
	uint64_t used = 0;
	for (uint32_t i = 0; i < sockets->sets; i++)
		used += rows[i].cookie && !lp_ledger_is_over(&rows[i], reading->now);
	return used;
}

static struct lp_ledger_table table(const char *name, uint64_t used, uint64_t size, uint64_t lost)
{
	return (struct lp_ledger_table){.name = name, .used = used, .size = size, .lost = lost};
}

static uint64_t rows_of(const struct lp_ledger_map *map)
{
	return (uint64_t)map->sets * LP_LEDGER_WAYS;
}

/* Events that came while another one was being noted on the same processor (Linux 5.12). */
static struct lp_figure read_missed(const struct lp_ledger *ledger)
{
	struct bpf_prog_info info;
	if (lp_bpf_info(ledger->program, &info, sizeof(info)) < 0)
		return (struct lp_figure){0};
	return lp_figure(info.recursion_misses);
}

int lp_ledger_read(const struct lp_ledger *ledger, const struct lp_kernel *kernel,
                   struct lp_ledger_facts **ret)
{
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = calloc(1, sizeof(*facts));
	const struct lp_ledger_control *control = ledger->control;
	const struct reading reading = {.ledger = ledger,
	                                .facts = facts,
	                                .wall_ms = lp_clock_wall_ms(),
	                                .now = (uint64_t)lp_kernel_ns(kernel)};
	uint64_t refusals = 0;
	if (!facts)
		return -ENOMEM;
	int r = read_actors(&reading);
	if (r == 0)
		r = read_refusals(&reading, &refusals);
	if (r == 0)
		r = read_searches(&reading);
	if (r < 0)
		return r;
	facts->since_ms = (int64_t)control->since_ms;
	facts->other_pids = !lp_processes_are_initial(kernel);
	facts->lost_open = control->lost_open;
	facts->lost_time_wait = control->lost_time_wait;
	facts->unowned = control->unowned;
	facts->missed = read_missed(ledger);
	facts->tables[0] = table("sockets", sockets_used(&reading), ledger->sockets.sets,
	                         control->lost_open + control->lost_time_wait + control->busy);
	facts->tables[1] =
	        table("owners", facts->n_actors, rows_of(&ledger->owners), control->lost_owners);
	facts->tables[2] = table("searches", facts->n_searches, rows_of(&ledger->searches),
	                         control->lost_searches);
	facts->tables[3] =
	        table("refusals", refusals, rows_of(&ledger->refusals), control->lost_refused);
	*ret = lp_take_ptr(facts);
	return 0;
}
