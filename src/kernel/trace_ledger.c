/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Refused connects and first closers, as the ledger counts them: what is more in its tables than an
 * interval before. Processes of one command in one cgroup make one line.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/ledger.h"
#include "kernel/trace_sources.h"
#include "kernel/trace_who.h"

enum { LINES = 32 }; /* of one kind and interval; what is less goes into a last one */

/* What one row of the ledger had counted, or an interval's share of it. */
struct share {
	enum lp_event_kind kind;
	struct lp_ledger_party party;
	struct lp_address remote; /* of a refusal */
	uint16_t port;
	enum lp_refusal why;
	uint32_t processes;
	uint64_t count;
	uint64_t all, all_ns; /* searches, and how long they took */
};

struct shares {
	struct share *items;
	size_t n, room;
};

struct traced {
	struct lp_ledger *ledger; /* not ours */
	struct lp_trace_who who;
	struct shares last; /* sorted by compare_rows() */
	/* refused connects and first closers of all namespaces, rows that gave way included … */
	uint64_t counted, counted_before;
	uint64_t seen; /* … and those whose row was still there to be read */
	int64_t read_ns;
};

static void shares_done(struct shares *shares)
{
	free(shares->items);
	*shares = (struct shares){0};
}

/* ---- the order of shares ------------------------------------------------------------------- */

#define BY(a, b)                   \
	do {                       \
		if ((a) < (b))     \
			return -1; \
		if ((a) > (b))     \
			return 1;  \
	} while (0)

/* What makes a line: the kind, whose, to where, why. */
static int compare_lines(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	BY(x->kind, y->kind);
	BY(x->party.netns.inode, y->party.netns.inode);
	BY(x->party.netns.cookie, y->party.netns.cookie);
	BY(x->party.cgroup_id, y->party.cgroup_id);
	BY(x->port, y->port);
	BY(x->why, y->why);
	int r = strcmp(x->party.command, y->party.command);
	return r ? r : memcmp(&x->remote, &y->remote, sizeof(x->remote));
}

/* … and the process, which may change its name. */
static int compare_rows(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	BY(x->kind, y->kind);
	BY(x->party.pid, y->party.pid);
	BY(x->party.start_ns, y->party.start_ns);
	BY(x->party.netns.inode, y->party.netns.inode);
	BY(x->party.netns.cookie, y->party.netns.cookie);
	BY(x->party.cgroup_id, y->party.cgroup_id);
	BY(x->port, y->port);
	BY(x->why, y->why);
	return memcmp(&x->remote, &y->remote, sizeof(x->remote));
}

/* Of a kind, the most first. */
static int compare_counts(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	BY(x->kind, y->kind);
	BY(y->count, x->count);
	return compare_lines(a, b);
}

static void sort(struct shares *shares, int (*compare)(const void *, const void *))
{
	if (shares->n)
		qsort(shares->items, shares->n, sizeof(*shares->items), compare);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int add(struct shares *shares, const struct share *share)
{
	if (!share->count)
		return 0;
	if (!lp_array_grow(&shares->items, &shares->room, shares->n, sizeof(*shares->items)))
		return -ENOMEM;
	shares->items[shares->n++] = *share;
	return 0;
}

static int add_all(struct shares *shares, const struct lp_ledger_facts *facts)
{
	int r = 0;
	for (size_t i = 0; i < facts->n_actors && r == 0; i++) {
		const struct lp_ledger_actor *actor = &facts->actors[i];
		struct share share = {.kind = LP_EVENT_CLOSED_FIRST,
		                      .party = actor->party,
		                      .processes = 1,
		                      .count = actor->closed_first};
		r = add(shares, &share);
	}
	for (size_t i = 0; i < facts->n_refusals && r == 0; i++) {
		const struct lp_ledger_refusal *refusal = &facts->refusals[i];
		struct share share = {.kind = LP_EVENT_REFUSED,
		                      .party = refusal->party,
		                      .remote = refusal->remote,
		                      .port = refusal->port,
		                      .why = refusal->why,
		                      .processes = 1,
		                      .count = refusal->refused,
		                      .all = refusal->all,
		                      .all_ns = refusal->all_ns};
		r = add(shares, &share);
	}
	return r;
}

static int read_shares(const struct lp_trace *trace, struct traced *traced, struct shares *ret)
{
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = NULL;
	_cleanup_(shares_done) struct shares now = {0};
	int r = lp_ledger_read(traced->ledger, lp_trace_kernel(trace), &facts);
	if (r == 0)
		r = add_all(&now, facts);
	if (r < 0)
		return r;
	traced->counted = facts->refused + facts->closed_first;
	sort(&now, compare_rows);
	*ret = now;
	now = (struct shares){0};
	return 0;
}

/* What is more than before. A row that counts less than it did is another one of that name. */
static struct share grown(const struct traced *traced, const struct share *now)
{
	const struct shares *last = &traced->last;
	const struct share *before =
	        last->n ? bsearch(now, last->items, last->n, sizeof(*now), compare_rows) : NULL;
	struct share more = *now;
	if (!before || before->count > now->count || before->all > now->all)
		return more;
	more.count -= before->count;
	more.all -= before->all;
	more.all_ns -= before->all_ns < more.all_ns ? before->all_ns : more.all_ns;
	return more;
}

/* The interval's shares, one a line. */
static int take_growth(struct lp_trace *trace, struct traced *traced, const struct shares *now,
                       struct shares *ret)
{
	size_t lines = 0;
	for (size_t i = 0; i < now->n; i++) {
		struct share more = grown(traced, &now->items[i]);
		traced->seen += more.count;
		if (lp_trace_wants(trace, more.party.netns) && add(ret, &more) < 0)
			return -ENOMEM;
	}
	sort(ret, compare_lines);
	for (size_t i = 0; i < ret->n; i++) {
		struct share *line = lines ? &ret->items[lines - 1] : NULL;
		if (!line || compare_lines(line, &ret->items[i]) != 0) {
			ret->items[lines++] = ret->items[i];
			continue;
		}
		line->processes++;
		line->count += ret->items[i].count;
		line->all += ret->items[i].all;
		line->all_ns += ret->items[i].all_ns;
	}
	ret->n = lines;
	sort(ret, compare_counts);
	return 0;
}

/* ---- telling ------------------------------------------------------------------------------- */

static int tell(struct lp_trace *trace, struct traced *traced, const struct share *share,
                double seconds)
{
	struct lp_event event = {
	        .kind = share->kind,
	        .count = share->count,
	        .rate = lp_real((double)share->count / seconds),
	};
	lp_trace_who_fill(&traced->who, &share->party, share->processes, &event);
	if (share->kind == LP_EVENT_REFUSED) {
		event.has_remote = true;
		event.remote = share->remote;
		event.remote_port = share->port;
		lp_trace_why_refused(share->why, &event);
	}
	if (share->all)
		event.search_ms = lp_real((double)share->all_ns / (double)share->all / 1e6);
	return lp_trace_emit(trace, &event);
}

/* Of each kind the lines with most, and one for all the others. */
static int tell_all(struct lp_trace *trace, struct traced *traced, const struct shares *shares,
                    double seconds)
{
	int r = 0;
	for (size_t i = 0; i < shares->n && r == 0;) {
		struct lp_event rest = {.kind = shares->items[i].kind, .why = "by others"};
		size_t lines = 0;
		for (; i < shares->n && shares->items[i].kind == rest.kind && r == 0; i++) {
			if (lines++ < LINES)
				r = tell(trace, traced, &shares->items[i], seconds);
			else
				rest.count += shares->items[i].count;
		}
		rest.rate = lp_real((double)rest.count / seconds);
		if (r == 0 && rest.count)
			r = lp_trace_emit(trace, &rest);
	}
	return r;
}

static int tick(struct lp_trace *trace, void *state)
{
	struct traced *traced = state;
	_cleanup_(shares_done) struct shares now = {0};
	_cleanup_(shares_done) struct shares more = {0};
	int r = read_shares(trace, traced, &now);
	int64_t at = lp_clock_ns();
	double seconds = (double)(at - traced->read_ns) / 1e9;
	if (r == 0)
		r = take_growth(trace, traced, &now, &more);
	if (r == 0)
		r = tell_all(trace, traced, &more, seconds);
	if (r != 0)
		return r;
	shares_done(&traced->last);
	traced->last = now;
	traced->read_ns = at;
	now = (struct shares){0};
	return 0;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void close_ledger(void *state)
{
	struct traced *traced = state;
	shares_done(&traced->last);
	lp_trace_who_done(&traced->who);
	free(traced);
}

static int open_ledger(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	const struct lp_trace_options *options = lp_trace_options(trace);
	if (options->each)
		return LP_TRACE_NOT_WANTED; /* trace_each.c tells the same */
	if (!options->ledger)
		return lp_fail(err, EPERM, "%s", options->no_ledger);
	struct traced *traced = calloc(1, sizeof(*traced));
	if (!traced)
		return -ENOMEM;
	traced->ledger = options->ledger;
	traced->read_ns = lp_clock_ns();
	lp_trace_who_begin(&traced->who, lp_trace_kernel(trace));
	int r = read_shares(trace, traced, &traced->last);
	if (r < 0) {
		close_ledger(traced);
		return r;
	}
	traced->counted_before = traced->counted;
	*ret = traced;
	return 0;
}

static uint64_t lost(const void *state)
{
	const struct traced *traced = state;
	uint64_t counted = traced->counted - traced->counted_before;
	return counted > traced->seen ? counted - traced->seen : 0;
}

const struct lp_trace_source lp_trace_ledger = {
        .what = "refused connects, first closers",
        .open = open_ledger,
        .close = close_ledger,
        .tick = tick,
        .lost = lost,
};
