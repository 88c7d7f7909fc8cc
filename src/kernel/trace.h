/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watches the kernel until told to stop. Each thing to watch is a source, a file trace_NAME.c with
 * a struct lp_trace_source that is named in the list of trace.c. A source may have a descriptor
 * that gets readable, or be asked once an interval, or both; what it finds it hands to
 * lp_trace_emit(). Sources of one trace run in one thread.
 */

#include "kernel/kernel.h"
#include "snapshot/event.h"

struct lp_trace_options {
	const char *netns;    /* as in lp_look_options */
	uint32_t interval_ms; /* between two questions: 1 or more */
	bool each;            /* single events where a source has them, not counts of an interval */
	struct lp_ledger *ledger; /* the caller's, open; or NULL … */
	const char *no_ledger;    /* … and why not */
};

/* Gets each event. Nonzero ends the trace and is returned. */
typedef int (*lp_trace_take)(void *context, const struct lp_event *event);

struct lp_trace;

/* What open() of a source returns that has nothing to do in this trace. */
enum { LP_TRACE_NOT_WANTED = 1 };

struct lp_trace_source {
	const char *what; /* for people, of what is missing without it: "refused connects" */
	bool lasting;     /* keeps descriptors while it is open */
	/*
	 * 0 with *ret set, and err too where a part is missing; LP_TRACE_NOT_WANTED; or a negative
	 * errno with err set: what is missing. The rest goes on.
	 */
	int (*open)(struct lp_trace *trace, void **ret, struct lp_error *err);
	void (*close)(void *state);
	/* What to wait for. NULL: is asked once an interval only. */
	int (*descriptor)(const void *state);
	/* It is readable. 0, or a negative errno, or what lp_trace_emit() returned. NULL: never. */
	int (*ready)(struct lp_trace *trace, void *state);
	/* An interval is over, or the trace. As ready. NULL: not asked. */
	int (*tick)(struct lp_trace *trace, void *state);
	/* The list of namespaces is another one. NULL: nothing to do then. */
	void (*listed)(struct lp_trace *trace, void *state);
	/* Events that were lost so far. NULL: none can be. */
	uint64_t (*lost)(const void *state);
};

/* ---- for sources --------------------------------------------------------------------------- */

const struct lp_kernel *lp_trace_kernel(const struct lp_trace *trace);
const struct lp_trace_options *lp_trace_options(const struct lp_trace *trace);

/*
 * The namespaces there are, those too that may not be entered. Listed anew about once a second, and
 * by lp_trace_wants() and lp_trace_emit(): no pointer into it outlives a call of these.
 */
const struct lp_netns_list *lp_trace_namespaces(const struct lp_trace *trace);

/* What of them may not be seen: a phrase, or NULL. */
const char *lp_trace_unseen(const struct lp_trace *trace);

/* Whether one namespace is asked for. */
bool lp_trace_wants_one(const struct lp_trace *trace);

/* Whether events of this namespace are asked for; one that is not listed may list all anew. */
bool lp_trace_wants(struct lp_trace *trace, struct lp_netns_id id);
bool lp_trace_wants_place(const struct lp_trace *trace, const struct lp_netns_place *place);

/* Hands an event over, its time and the name of its namespace filled in. */
int lp_trace_emit(struct lp_trace *trace, struct lp_event *event);

/* ---- for who traces ------------------------------------------------------------------------ */

/*
 * Opens every source. 0 if any could be, and *ret is the caller's; else what keeps the counters
 * from being read, or -ENOENT or -EPERM of lp_netns_none().
 */
int lp_trace_open(const struct lp_kernel *kernel, const struct lp_trace_options *options,
                  struct lp_trace **ret, struct lp_error *err);
void lp_trace_close(struct lp_trace *trace);
static inline void lp_trace_closep(struct lp_trace **trace)
{
	lp_trace_close(*trace);
}

/* The sources that could not be opened, or only in part: what and why. False past the last. */
bool lp_trace_missing(const struct lp_trace *trace, size_t index, const char **what,
                      const char **why);

/*
 * Until `stop` gets readable or so long (0: for ever). 0, a negative errno, or what `take`
 * returned.
 */
int lp_trace_run(struct lp_trace *trace, int stop, int64_t duration_ms, lp_trace_take take,
                 void *context);

/* Events that were lost so far, of all sources. */
uint64_t lp_trace_lost(const struct lp_trace *trace);
