/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lines of the kernel log about limits, as they come. Beside the counters they are a sign, not a
 * figure: the kernel lets ten of the network's through in 5 s.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kmsg.h"
#include "kernel/trace_sources.h"

/* So many records at once; the rest when the descriptor is asked again. */
enum { RECORDS = 1000 };

static void close_log(void *state)
{
	lp_kmsg_close(state);
	free(state);
}

static int open_log(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	struct lp_kmsg *kmsg = calloc(1, sizeof(*kmsg));
	if (!kmsg)
		return -ENOMEM;
	int r = lp_kmsg_open(lp_trace_kernel(trace), true, kmsg);
	if (r < 0) {
		free(kmsg);
		return lp_fail(err, -r, "%s", lp_log_unread(r));
	}
	*ret = kmsg;
	return 0;
}

static int descriptor(const void *state)
{
	const struct lp_kmsg *kmsg = state;
	return kmsg->fd;
}

/* A line that names no namespace is told where all are asked for. */
static bool is_wanted(struct lp_trace *trace, const struct lp_log_entry *line)
{
	return line->netns ? lp_trace_wants(trace, (struct lp_netns_id){line->netns, 0})
	                   : !lp_trace_wants_one(trace);
}

static int ready(struct lp_trace *trace, void *state)
{
	struct lp_log_entry line;
	unsigned records = RECORDS;
	int r;
	while ((r = lp_kmsg_next(state, &records, &line)) > 0) {
		if (!is_wanted(trace, &line))
			continue;
		struct lp_event event = {
		        .kind = LP_EVENT_LOG,
		        .has_netns = line.netns != 0,
		        .netns = {line.netns, 0},
		        .count = line.lines,
		        .line = &line,
		};
		r = lp_trace_emit(trace, &event);
		if (r != 0)
			return r;
	}
	return r;
}

static uint64_t lost(const void *state)
{
	const struct lp_kmsg *kmsg = state;
	return kmsg->lost;
}

const struct lp_trace_source lp_trace_kmsg = {
        .what = "kernel log",
        .lasting = true,
        .open = open_log,
        .close = close_log,
        .descriptor = descriptor,
        .ready = ready,
        .lost = lost,
};
