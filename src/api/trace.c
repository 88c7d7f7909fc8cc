/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A trace as a library call: from the sources' events to lines. */

#include <errno.h>
#include <string.h>

#include "action/ledger_load.h"
#include "api/take.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/spare.h"
#include "kernel/ledger.h"
#include "kernel/trace.h"
#include "lastport/lastport.h"
#include "view/event.h"

/* What the lines are written by, and what they come to. */
struct output {
	struct lp_event_style style;
	struct lp_event_totals totals;
	FILE *out;
};

static int take(void *context, const struct lp_event *event)
{
	struct output *output = context;
	output->totals.counts[event->kind] += event->count;
	return lp_event_write(&output->style, event, output->out);
}

static int tell_missing(const struct lp_trace *trace, const struct output *output)
{
	const char *what, *why;
	int r = 0;
	for (size_t i = 0; r == 0 && lp_trace_missing(trace, i, &what, &why); i++)
		r = lp_event_write_missing(&output->style, what, why, output->out);
	return r;
}

static int run(const struct lastport_trace_options *options, struct lp_trace *trace,
               struct output *output)
{
	int64_t begin = lp_clock_ns();
	int r = tell_missing(trace, output);
	if (r == 0)
		r = lp_trace_run(trace, options->stop, options->for_ms, take, output);
	output->totals.seconds = (double)(lp_clock_ns() - begin) / 1e9;
	output->totals.lost = lp_trace_lost(trace);
	return r < 0 ? r : lp_event_write_totals(&output->style, &output->totals, output->out);
}

/* A ledger to ask: that which is on, or one for as long as the trace takes. */
struct asked {
	struct lp_ledger *ledger;
	struct lp_ledger_loaded *loaded; /* NULL: it is that which is on */
	struct lp_error why;             /* none */
};

static void asked_done(struct asked *asked)
{
	lp_ledger_close(asked->ledger);
	lp_ledger_unload(asked->loaded);
}

/* Nothing is pinned: what is loaded goes with this process, however it ends. */
static int load_ledger(struct asked *asked)
{
	enum { MEMORY_MIB = 8 };
	int r = lp_ledger_load(MEMORY_MIB, &asked->loaded, &asked->why);
	if (r == 0)
		r = lp_ledger_attach(asked->loaded, &asked->why);
	if (r == 0)
		r = lp_ledger_open_by(lp_ledger_open_piece, asked->loaded, &asked->ledger,
		                      &asked->why);
	return r;
}

/* Leaves descriptors for what else is traced. */
static void ask_ledger(struct asked *asked)
{
	struct lp_spare spare;
	int r = lp_spare_hold(&spare);
	if (r < 0)
		lp_say(&asked->why, "%s", strerror(-r));
	else if (lp_ledger_open(lp_bpffs(), &asked->ledger, &asked->why) < 0)
		(void)load_ledger(asked);
	lp_spare_drop(&spare);
}

static int open_and_run(const struct lastport_trace_options *given, FILE *out, struct lp_error *err)
{
	enum { SECOND_MS = 1000 };
	struct lastport_trace_options options;
	if (!lp_take_struct(&options, sizeof(options), given))
		return lp_fail(err, EINVAL, "options are of a newer version of the library");
	struct output output = {.style = {options.json, options.unicode, options.colour},
	                        .out = out};
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	int r = lp_kernel_open(&kernel, err);
	if (r < 0)
		return r;
	_cleanup_(asked_done) struct asked asked = {0};
	if (!options.each)
		ask_ledger(&asked);
	const struct lp_trace_options trace_options = {
	        .netns = options.netns,
	        .interval_ms = options.interval_ms ? options.interval_ms : SECOND_MS,
	        .each = options.each,
	        .ledger = asked.ledger,
	        .no_ledger = asked.why.text,
	};
	_cleanup_(lp_trace_closep) struct lp_trace *trace = NULL;
	r = lp_trace_open(&kernel, &trace_options, &trace, err);
	return r < 0 ? r : run(&options, trace, &output);
}

int lastport_trace(const struct lastport_trace_options *options, FILE *out, char *message,
                   size_t message_size)
{
	struct lp_error err = {0};
	int r = open_and_run(options, out, &err);
	if (message && message_size)
		(void)snprintf(message, message_size, "%s", err.text);
	return r;
}
