/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/spare.h"
#include "kernel/trace_sources.h"

static const struct lp_trace_source *const sources[] = {
        &lp_trace_ledger, &lp_trace_each, &lp_trace_counters, &lp_trace_kmsg, &lp_trace_netfilter,
};
enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };

/* The list of namespaces is made anew so often, and for at most this part of the time. */
enum { LISTED_EVERY_NS = 1000000000, LISTING_PART = 20 };

/* So many that ended stay known: what was counted of them may be told only at the interval's end.
 */
enum { GONE = 64 };

struct lp_trace {
	const struct lp_kernel *kernel;
	struct lp_trace_options options;
	struct lp_netns_list namespaces;
	struct lp_netns_place gone[GONE]; /* a ring: identity and name only */
	size_t n_gone;                    /* ever */
	struct lp_error unseen;           /* what of them may not be seen */
	int64_t listed_ns, listing_ns;    /* when they were listed, and how long it took */
	bool listed_anew;                 /* since the sources were told */
	struct opened {
		bool open;
		void *state;
		struct lp_error why; /* what is missing of it, or "" */
	} opened[SOURCES];
	lp_trace_take take; /* while it runs */
	void *context;
};

/* ---- namespaces ---------------------------------------------------------------------------- */

static void list_done(struct lp_netns_list *list)
{
	lp_netns_list_done(list);
}

static const struct lp_netns_place *find_in(const struct lp_netns_place *places, size_t n,
                                            struct lp_netns_id id)
{
	for (size_t i = 0; i < n; i++)
		if (lp_netns_id_is(lp_netns_place_id(&places[i]), id))
			return &places[i];
	return NULL;
}

static const struct lp_netns_place *find_place(const struct lp_trace *trace, struct lp_netns_id id)
{
	const struct lp_netns_list *list = &trace->namespaces;
	const struct lp_netns_place *place = find_in(list->items, list->n, id);
	if (place || !id.cookie)
		return place;
	return find_in(trace->gone, trace->n_gone < GONE ? trace->n_gone : GONE, id);
}

/* Takes the name of one that ended. Without a cookie it could not be told from the next one. */
static void keep_gone(struct lp_trace *trace, struct lp_netns_place *place)
{
	struct lp_netns_place *gone = &trace->gone[trace->n_gone % GONE];
	if (!place->cookie || find_place(trace, lp_netns_place_id(place)))
		return;
	free(gone->name);
	*gone = (struct lp_netns_place){.inode = place->inode, .cookie = place->cookie};
	gone->name = lp_take_ptr(place->name);
	trace->n_gone++;
}

/* "a; b" of the gaps in what was searched. */
static void note_unseen(struct lp_trace *trace, const struct lp_snapshot *scratch)
{
	size_t used = 0, room = sizeof(trace->unseen.text);
	trace->unseen = (struct lp_error){0};
	for (size_t i = 0; i < scratch->n_gaps && used < room; i++)
		used += (size_t)snprintf(trace->unseen.text + used, room - used, "%s%s",
		                         used ? "; " : "", scratch->gaps[i].why);
}

/* Puts a new list in place of the one there is, once it is whole. */
static int list_namespaces(struct lp_trace *trace)
{
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *scratch = lp_snapshot_new();
	_cleanup_(list_done) struct lp_netns_list list = {.closed_too = true};
	int64_t begin = lp_clock_ns();
	int r = scratch ? lp_netns_list_read(trace->kernel, scratch, &list) : -ENOMEM;
	if (r == 0)
		r = lp_netns_list_cookies(trace->kernel, &list);
	trace->listed_ns = lp_clock_ns();
	trace->listing_ns = trace->listed_ns - begin;
	if (r < 0)
		return r;
	note_unseen(trace, scratch);
	struct lp_netns_list before = trace->namespaces;
	trace->namespaces = list;
	list = before;
	for (size_t i = 0; i < list.n; i++)
		keep_gone(trace, &list.items[i]);
	trace->listed_anew = true;
	return 0;
}

/* Whether to list again pays: a machine may have many processes to ask. */
static bool may_list(const struct lp_trace *trace)
{
	return lp_clock_ns() - trace->listed_ns >= LISTING_PART * trace->listing_ns;
}

/* One that is not listed may have been made since. */
static const struct lp_netns_place *place_of(struct lp_trace *trace, struct lp_netns_id id)
{
	const struct lp_netns_place *place = find_place(trace, id);
	if (place || !may_list(trace) || list_namespaces(trace) < 0)
		return place;
	return find_place(trace, id);
}

static bool is_called(const struct lp_netns_place *place, const char *wanted)
{
	char inode[24];
	if (!strcmp(wanted, "self"))
		return place->own;
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, place->inode);
	return !strcmp(inode, wanted) || (place->name && !strcmp(place->name, wanted));
}

/* ---- for sources --------------------------------------------------------------------------- */

const struct lp_kernel *lp_trace_kernel(const struct lp_trace *trace)
{
	return trace->kernel;
}

const struct lp_trace_options *lp_trace_options(const struct lp_trace *trace)
{
	return &trace->options;
}

const struct lp_netns_list *lp_trace_namespaces(const struct lp_trace *trace)
{
	return &trace->namespaces;
}

const char *lp_trace_unseen(const struct lp_trace *trace)
{
	return *trace->unseen.text ? trace->unseen.text : NULL;
}

bool lp_trace_wants_one(const struct lp_trace *trace)
{
	return trace->options.netns && strcmp(trace->options.netns, "all") != 0;
}

bool lp_trace_wants_place(const struct lp_trace *trace, const struct lp_netns_place *place)
{
	return !lp_trace_wants_one(trace) || is_called(place, trace->options.netns);
}

bool lp_trace_wants(struct lp_trace *trace, struct lp_netns_id id)
{
	if (!lp_trace_wants_one(trace))
		return true;
	const struct lp_netns_place *place = place_of(trace, id);
	return place && is_called(place, trace->options.netns);
}

int lp_trace_emit(struct lp_trace *trace, struct lp_event *event)
{
	const struct lp_netns_place *place =
	        event->has_netns ? place_of(trace, event->netns) : NULL;
	event->at_ms = lp_clock_wall_ms();
	event->netns_name = place ? place->name : NULL;
	event->netns_own = place && place->own;
	return trace->take(trace->context, event);
}

/* ---- opening ------------------------------------------------------------------------------- */

void lp_trace_close(struct lp_trace *trace)
{
	if (!trace)
		return;
	for (size_t i = 0; i < SOURCES; i++)
		if (trace->opened[i].open)
			sources[i]->close(trace->opened[i].state);
	lp_netns_list_done(&trace->namespaces);
	for (size_t i = 0; i < GONE; i++)
		free(trace->gone[i].name);
	free(trace);
}

static int find_namespaces(struct lp_trace *trace, struct lp_error *err)
{
	int r = list_namespaces(trace);
	if (r < 0)
		return lp_fail(err, -r, "the network namespaces can't be listed: %s", strerror(-r));
	for (size_t i = 0; i < trace->namespaces.n; i++)
		if (lp_trace_wants_place(trace, &trace->namespaces.items[i]))
			return 0;
	return lp_netns_none(trace->kernel, trace->options.netns, trace->unseen.text, err);
}

/* What keeps descriptors for as long as it is open leaves some for what is read now and then. */
static int open_source(struct lp_trace *trace, size_t index)
{
	struct opened *opened = &trace->opened[index];
	struct lp_spare spare = {0};
	int r = sources[index]->lasting ? lp_spare_hold(&spare) : 0;
	if (r == 0)
		r = sources[index]->open(trace, &opened->state, &opened->why);
	lp_spare_drop(&spare);
	opened->open = r == 0;
	if (r < 0 && !*opened->why.text)
		lp_say(&opened->why, "%s", strerror(-r));
	return r;
}

static int open_sources(struct lp_trace *trace, struct lp_error *err)
{
	const char *why = "";
	int any = 0, error = -ENOENT;
	for (size_t i = 0; i < SOURCES; i++) {
		int r = open_source(trace, i);
		any += r == 0;
		if (r >= 0 || (*why && sources[i] != &lp_trace_counters))
			continue;
		why = trace->opened[i].why.text; /* counters need least: what keeps them from it */
		error = r;
	}
	return any ? 0 : lp_fail(err, -error, "nothing can be traced: %s", why);
}

int lp_trace_open(const struct lp_kernel *kernel, const struct lp_trace_options *options,
                  struct lp_trace **ret, struct lp_error *err)
{
	_cleanup_(lp_trace_closep) struct lp_trace *trace = calloc(1, sizeof(*trace));
	if (!trace)
		return lp_fail(err, ENOMEM, "out of memory");
	trace->kernel = kernel;
	trace->options = *options;
	int r = find_namespaces(trace, err);
	if (r == 0)
		r = open_sources(trace, err);
	if (r == 0)
		*ret = lp_take_ptr(trace);
	return r;
}

bool lp_trace_missing(const struct lp_trace *trace, size_t index, const char **what,
                      const char **why)
{
	for (size_t i = 0; i < SOURCES; i++) {
		if (!*trace->opened[i].why.text || index-- > 0)
			continue;
		*what = sources[i]->what;
		*why = trace->opened[i].why.text;
		return true;
	}
	return false;
}

uint64_t lp_trace_lost(const struct lp_trace *trace)
{
	uint64_t lost = 0;
	for (size_t i = 0; i < SOURCES; i++)
		if (trace->opened[i].open && sources[i]->lost)
			lost += sources[i]->lost(trace->opened[i].state);
	return lost;
}

/* ---- running ------------------------------------------------------------------------------- */

/* The first is what stops; -1 where a source has nothing to wait for. */
static void list_descriptors(const struct lp_trace *trace, int stop,
                             struct pollfd waiting[SOURCES + 1])
{
	waiting[0] = (struct pollfd){.fd = stop, .events = POLLIN};
	for (size_t i = 0; i < SOURCES; i++) {
		const struct opened *opened = &trace->opened[i];
		bool has = opened->open && sources[i]->descriptor;
		waiting[i + 1] = (struct pollfd){
		        .fd = has ? sources[i]->descriptor(opened->state) : -1, .events = POLLIN};
	}
}

static int take_ready(struct lp_trace *trace, const struct pollfd waiting[SOURCES + 1])
{
	int r = 0;
	for (size_t i = 0; i < SOURCES && r == 0; i++)
		if (waiting[i + 1].fd >= 0 && waiting[i + 1].revents)
			r = sources[i]->ready(trace, trace->opened[i].state);
	return r;
}

/* Namespaces come and go while a trace runs. */
static void list_again(struct lp_trace *trace)
{
	if (lp_clock_ns() - trace->listed_ns >= LISTED_EVERY_NS && may_list(trace))
		(void)list_namespaces(trace); /* else those listed before stay */
	for (size_t i = 0; i < SOURCES && trace->listed_anew; i++)
		if (trace->opened[i].open && sources[i]->listed)
			sources[i]->listed(trace, trace->opened[i].state);
	trace->listed_anew = false;
}

static int tick_all(struct lp_trace *trace)
{
	int r = 0;
	for (size_t i = 0; i < SOURCES && r == 0; i++)
		if (trace->opened[i].open && sources[i]->tick)
			r = sources[i]->tick(trace, trace->opened[i].state);
	return r;
}

static struct timespec time_left(int64_t until)
{
	int64_t left = until - lp_clock_ns();
	left = left < 0 ? 0 : left < LISTED_EVERY_NS ? left : LISTED_EVERY_NS;
	return (struct timespec){left / 1000000000, left % 1000000000};
}

/* Waits for events until `until`, in nanoseconds, and looks once in any case. 1: told to stop. */
static int wait_until(struct lp_trace *trace, int stop, int64_t until)
{
	struct pollfd waiting[SOURCES + 1];
	list_descriptors(trace, stop, waiting);
	do {
		const struct timespec timeout = time_left(until);
		int n = ppoll(waiting, SOURCES + 1, &timeout, NULL);
		if (n < 0 && errno != EINTR)
			return lp_errno();
		int r = n > 0 ? take_ready(trace, waiting) : 0;
		if (r != 0)
			return r;
		if (n > 0 && waiting[0].revents)
			return 1;
		list_again(trace);
	} while (lp_clock_ns() < until);
	return 0;
}

int lp_trace_run(struct lp_trace *trace, int stop, int64_t duration_ms, lp_trace_take take,
                 void *context)
{
	int64_t interval = (int64_t)trace->options.interval_ms * 1000000;
	int64_t next = lp_clock_ns(), end = duration_ms ? next + duration_ms * 1000000 : INT64_MAX;
	trace->take = take;
	trace->context = context;
	for (int stopped = 0; !stopped;) {
		next = next + interval < end ? next + interval : end;
		stopped = wait_until(trace, stop, next);
		int r = stopped < 0 ? stopped : tick_all(trace);
		if (r != 0)
			return r;
		stopped |= next == end;
		/* where it was late, or was stopped, those missed are not made up for */
		int64_t now = lp_clock_ns();
		next = now > next ? now : next;
	}
	return 0;
}
