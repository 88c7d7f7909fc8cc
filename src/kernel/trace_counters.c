/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Counters of TCP and of connection tracking that tell of a limit, each namespace's once an
 * interval. Nothing is held open meanwhile, or a trace would keep namespaces alive that everybody
 * else has left.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "kernel/conntrack_stats.h"
#include "kernel/netstat.h"
#include "kernel/text.h"
#include "kernel/trace_sources.h"
#include "snapshot/drops.h"

static const struct watched {
	size_t counter; /* offset in struct lp_tcp_counters */
	enum lp_event_kind kind;
	const char *why;
} watched[] = {
        {offsetof(struct lp_tcp_counters, time_wait_overflow), LP_EVENT_TIME_WAIT_CUT,
         "tcp_max_tw_buckets is reached"},
        {offsetof(struct lp_tcp_counters, listen_overflow), LP_EVENT_ACCEPT_QUEUE_FULL,
         "a SYN or final ACK was dropped each time"},
        {offsetof(struct lp_tcp_counters, reqq_cookies), LP_EVENT_SYN_QUEUE_FULL,
         "SYN cookies were sent"},
        {offsetof(struct lp_tcp_counters, reqq_drops), LP_EVENT_SYN_QUEUE_FULL,
         "SYNs were dropped"},
        {offsetof(struct lp_tcp_counters, paws_time_wait), LP_EVENT_TIMESTAMP_TOO_OLD,
         "a TIME_WAIT of another clock is in the way (PAWS)"},
        {offsetof(struct lp_tcp_counters, abort_on_memory), LP_EVENT_OUT_OF_MEMORY,
         "connections were reset (tcp_mem, tcp_max_orphans)"},
};

/* One reading of a namespace. */
struct sample {
	struct lp_tcp_counters tcp;
	struct lp_conntrack_counters conntrack;
	bool full; /* its table of connections was */
};

/* A namespace that is listed. */
struct place {
	struct lp_netns_id id;
	bool wanted, known; /* known: was listed before */
	struct sample last, now;
};

struct counters {
	const struct lp_kernel *kernel;
	struct place *places; /* as those of the list, in its order */
	size_t n;
	int64_t read_ns; /* when the last ones were read */
	/* of the last round */
	bool only_new; /* it was to those only that were not listed before */
	size_t closed;
	int why_closed;
};

static void close_counters(void *state)
{
	struct counters *counters = state;
	free(counters->places);
	free(counters);
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct lp_figure read_figure(const struct lp_kernel *kernel, const char *path)
{
	uint64_t n;
	return lp_read_number(kernel->proc, path, INT32_MAX, &n) == 0 ? lp_figure(n)
	                                                              : (struct lp_figure){0};
}

/* The counters stay, also when the last entry is gone. */
static void read_conntrack(const struct lp_kernel *kernel, struct lp_snapshot *scratch,
                           struct lp_netns *netns, struct sample *now)
{
	struct lp_figure entries = read_figure(kernel, "sys/net/netfilter/nf_conntrack_count");
	struct lp_figure max = read_figure(kernel, "sys/net/netfilter/nf_conntrack_max");
	if (!entries.known || lp_conntrack_stats_read(kernel, scratch, netns) < 0)
		return;
	now->conntrack = netns->conntrack_counters;
	now->full = lp_drops_is_full(entries, max);
}

/* In the namespace. What can't be read now is not known. */
static void read_place(const struct lp_kernel *kernel, struct place *place)
{
	struct lp_netns netns = {0};
	struct lp_snapshot *scratch = lp_snapshot_new();
	place->now = (struct sample){0};
	if (scratch && lp_netstat_read(kernel, scratch, &netns) == 0)
		place->now.tcp = netns.tcp_counters;
	if (scratch)
		read_conntrack(kernel, scratch, &netns, &place->now);
	lp_snapshot_free(scratch);
}

static bool is_to_be_read(void *context, size_t index)
{
	const struct counters *counters = context;
	const struct place *place = &counters->places[index];
	return place->wanted && !(counters->only_new && place->known);
}

static void visit(void *context, size_t index, int error)
{
	struct counters *counters = context;
	struct place *place = &counters->places[index];
	place->now = (struct sample){0};
	if (error == 0)
		read_place(counters->kernel, place);
	if (error == 0 || error == -ENOENT)
		return; /* it may have gone */
	counters->closed++;
	counters->why_closed = error;
}

/* What was read of a namespace before; of most at the same place in the list. */
static const struct place *find_place(const struct counters *counters, struct lp_netns_id id,
                                      size_t hint)
{
	if (hint < counters->n && lp_netns_id_is(counters->places[hint].id, id))
		return &counters->places[hint];
	for (size_t i = 0; i < counters->n; i++)
		if (lp_netns_id_is(counters->places[i].id, id))
			return &counters->places[i];
	return NULL;
}

/* Brings the places in line with the list. */
static int take_list(struct counters *counters, const struct lp_trace *trace)
{
	const struct lp_netns_list *list = lp_trace_namespaces(trace);
	struct place *places = calloc(list->n, sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		const struct lp_netns_id id = lp_netns_place_id(&list->items[i]);
		const struct place *before = find_place(counters, id, i);
		if (before)
			places[i] = *before;
		places[i].id = id;
		places[i].known = before;
		places[i].wanted = lp_trace_wants_place(trace, &list->items[i]);
	}
	free(counters->places);
	counters->places = places;
	counters->n = list->n;
	return 0;
}

static int go_round(struct counters *counters, const struct lp_trace *trace, bool only_new)
{
	const struct lp_netns_visitor visitor = {is_to_be_read, visit, counters};
	int r = take_list(counters, trace);
	counters->only_new = only_new;
	counters->closed = 0;
	return r < 0 ? r : lp_netns_visit(counters->kernel, lp_trace_namespaces(trace), &visitor);
}

static void keep_all(struct counters *counters)
{
	for (size_t i = 0; i < counters->n; i++)
		counters->places[i].last = counters->places[i].now;
	counters->read_ns = lp_clock_ns();
}

/* What new ones count from here on is told. */
static void listed(struct lp_trace *trace, void *state)
{
	struct counters *counters = state;
	if (go_round(counters, trace, true) < 0)
		return; /* then from the next interval on */
	for (size_t i = 0; i < counters->n; i++)
		if (!counters->places[i].known)
			counters->places[i].last = counters->places[i].now;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Says what is missing of those that are wanted. */
static int judge(const struct counters *counters, const struct lp_trace *trace,
                 struct lp_error *err)
{
	const char *unseen = lp_trace_unseen(trace);
	const char *reason =
	        counters->why_closed == -EPERM ? "needs root" : strerror(-counters->why_closed);
	size_t read = 0;
	for (size_t i = 0; i < counters->n; i++)
		read += counters->places[i].now.tcp.time_wait_overflow.known;
	if (counters->closed && lp_trace_wants_one(trace))
		return lp_fail(err, -counters->why_closed, "'%s' may not be entered: %s",
		               lp_trace_options(trace)->netns, reason);
	if (!read)
		return lp_fail(err, ENOENT, "/proc/net/netstat does not tell");
	if (unseen && !lp_trace_wants_one(trace))
		lp_say(err, "%s", unseen);
	else if (counters->closed)
		lp_say(err, "%zu network namespace%s may not be entered: %s", counters->closed,
		       lp_text_plural(counters->closed), reason);
	return 0;
}

static int open_counters(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	struct counters *counters = calloc(1, sizeof(*counters));
	if (!counters)
		return -ENOMEM;
	counters->kernel = lp_trace_kernel(trace);
	int r = go_round(counters, trace, false);
	if (r == 0)
		r = judge(counters, trace, err);
	if (r < 0) {
		close_counters(counters);
		return r;
	}
	keep_all(counters);
	*ret = counters;
	return 0;
}

/* ---- telling ------------------------------------------------------------------------------- */

static struct lp_figure figure_at(const struct lp_tcp_counters *counters, size_t offset)
{
	struct lp_figure figure;
	memcpy(&figure, (const char *)counters + offset, sizeof(figure));
	return figure;
}

static int tell_tcp(struct lp_trace *trace, const struct place *place, double seconds)
{
	struct lp_tcp_counters growth;
	int r = 0;
	lp_tcp_counters_growth(&place->last.tcp, &place->now.tcp, &growth);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]) && r == 0; i++) {
		struct lp_figure grown = figure_at(&growth, watched[i].counter);
		if (!grown.known || !grown.n)
			continue;
		struct lp_event event = {
		        .kind = watched[i].kind,
		        .has_netns = true,
		        .netns = place->id,
		        .count = grown.n,
		        .rate = lp_real((double)grown.n / seconds),
		        .why = watched[i].why,
		};
		r = lp_trace_emit(trace, &event);
	}
	return r;
}

/* Evictions tell that a table was full in between, though it is not at either end. */
static int tell_conntrack(struct lp_trace *trace, const struct place *place, double seconds)
{
	struct lp_conntrack_counters growth;
	struct lp_drops drops;
	int r = 0;
	lp_conntrack_growth(&place->last.conntrack, &place->now.conntrack, &growth);
	bool full = place->last.full || place->now.full || growth.early_drop.n;
	if (!lp_drops_tell(&growth, full, &drops))
		return 0;
	for (int i = 0; i < LP_DROP_CAUSES && r == 0; i++) {
		struct lp_event event = {
		        .kind = LP_EVENT_CONNTRACK_DROP,
		        .has_netns = true,
		        .netns = place->id,
		        .count = drops.packets[i],
		        .rate = lp_real((double)drops.packets[i] / seconds),
		        .why = lp_drop_names[i].label,
		};
		if (event.count)
			r = lp_trace_emit(trace, &event);
	}
	return r;
}

static int tell_place(struct lp_trace *trace, const struct place *place, double seconds)
{
	int r = tell_tcp(trace, place, seconds);
	return r == 0 ? tell_conntrack(trace, place, seconds) : r;
}

static int tick(struct lp_trace *trace, void *state)
{
	struct counters *counters = state;
	double seconds = (double)(lp_clock_ns() - counters->read_ns) / 1e9;
	int r = go_round(counters, trace, false);
	for (size_t i = 0; i < counters->n && r == 0; i++)
		if (counters->places[i].wanted)
			r = tell_place(trace, &counters->places[i], seconds);
	keep_all(counters);
	return r;
}

const struct lp_trace_source lp_trace_counters = {
        .what = "counters of the network namespaces",
        .open = open_counters,
        .close = close_counters,
        .tick = tick,
        .listed = listed,
};
