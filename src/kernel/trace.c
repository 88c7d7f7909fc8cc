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
#include "kernel/trace_sources.h"

static const struct lp_trace_source *const sources[] = {
        &lp_trace_ledger, &lp_trace_each, &lp_trace_counters, &lp_trace_kmsg, &lp_trace_netfilter,
};
enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };

struct lp_trace {
	const struct lp_kernel *kernel;
	struct lp_trace_options options;
	struct lp_snapshot *scratch; /* what the search for namespaces fills beside its list */
	struct lp_netns_list namespaces;
	struct opened {
		bool open, missing; /* neither: it is not wanted */
		void *state;
		struct lp_error why; /* if missing */
	} opened[SOURCES];
	lp_trace_take take; /* while it runs */
	void *context;
};

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

static const struct lp_netns_place *place_of(const struct lp_trace *trace, uint64_t inode)
{
	for (size_t i = 0; i < trace->namespaces.n; i++)
		if (trace->namespaces.items[i].inode == inode)
			return &trace->namespaces.items[i];
	return NULL;
}

static bool is_called(const struct lp_netns_place *place, const char *wanted)
{
	char inode[24];
	if (!strcmp(wanted, "self"))
		return place->own;
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, place->inode);
	return !strcmp(inode, wanted) || (place->name && !strcmp(place->name, wanted));
}

bool lp_trace_wants(const struct lp_trace *trace, uint64_t inode)
{
	const char *wanted = trace->options.netns;
	const struct lp_netns_place *place = place_of(trace, inode);
	if (!wanted || !strcmp(wanted, "all"))
		return true;
	return place && is_called(place, wanted);
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
	lp_snapshot_free(trace->scratch);
	free(trace);
}

static int find_namespaces(struct lp_trace *trace, struct lp_error *err)
{
	const char *wanted = trace->options.netns;
	trace->scratch = lp_snapshot_new();
	int r = trace->scratch
	                ? lp_netns_list_read(trace->kernel, trace->scratch, &trace->namespaces)
	                : -ENOMEM;
	if (r < 0)
		return lp_fail(err, -r, "the network namespaces can't be listed: %s", strerror(-r));
	for (size_t i = 0; i < trace->namespaces.n; i++)
		if (lp_trace_wants(trace, trace->namespaces.items[i].inode))
			return 0;
	return lp_fail(err, ENOENT,
	               "no network namespace '%s': expected a name under /run/netns, an inode, "
	               "'host', 'self' or 'all'",
	               wanted);
}

static int open_sources(struct lp_trace *trace, struct lp_error *err)
{
	int any = 0, why = -ENOENT;
	for (size_t i = 0; i < SOURCES; i++) {
		struct opened *opened = &trace->opened[i];
		int r = sources[i]->open(trace, &opened->state, &opened->why);
		opened->open = r == 0;
		opened->missing = r < 0;
		any += opened->open;
		why = r < 0 ? r : why;
		if (r == -ENOMEM)
			return lp_fail(err, ENOMEM, "out of memory");
	}
	return any ? 0
	           : lp_fail(err, -why, "nothing can be traced: %s",
	                     trace->opened[SOURCES - 1].why.text);
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
		if (!trace->opened[i].missing || index-- > 0)
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

static int tick_all(struct lp_trace *trace)
{
	int r = 0;
	for (size_t i = 0; i < SOURCES && r == 0; i++)
		if (trace->opened[i].open && sources[i]->tick)
			r = sources[i]->tick(trace, trace->opened[i].state);
	return r;
}

/* Waits for events until `until`, in nanoseconds, and looks once in any case. 1: told to stop. */
static int wait_until(struct lp_trace *trace, int stop, int64_t until)
{
	struct pollfd waiting[SOURCES + 1];
	int64_t left = until - lp_clock_ns();
	list_descriptors(trace, stop, waiting);
	do {
		const struct timespec timeout = {left > 0 ? left / 1000000000 : 0,
		                                 left > 0 ? left % 1000000000 : 0};
		int n = ppoll(waiting, SOURCES + 1, &timeout, NULL);
		if (n < 0 && errno != EINTR)
			return lp_errno();
		int r = n > 0 ? take_ready(trace, waiting) : 0;
		if (r != 0)
			return r;
		if (n > 0 && waiting[0].revents)
			return 1;
		left = until - lp_clock_ns();
	} while (left > 0);
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
