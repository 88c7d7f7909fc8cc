/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Refused connects and first closers one by one, by a program that is there as long as the trace.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/trace_sources.h"

static const char what[] = "single refused connects and first closers";

#if HAVE_BPF

#include "base/utf8.h"
#include "bpf/each.h"
#include "kernel/bpf_call.h"
#include "kernel/bpf_ring.h"
#include "kernel/trace_who.h"

#include "bpf/each.skel.h"

struct singles {
	struct each *programs;
	struct lp_ring ring;
	struct lp_each_control *control; /* mapped */
	struct lp_trace_who who;
	struct lp_trace *trace; /* while the ring is read */
};

static void close_singles(void *state)
{
	struct singles *singles = state;
	if (singles->control)
		(void)munmap(singles->control, sizeof(*singles->control));
	lp_ring_close(&singles->ring);
	if (singles->programs)
		each__destroy(singles->programs);
	lp_trace_who_done(&singles->who);
	free(singles);
}

static int map_control(struct singles *singles)
{
	void *control = mmap(NULL, sizeof(*singles->control), PROT_READ | PROT_WRITE, MAP_SHARED,
	                     singles->programs->maps.each_control.map_fd, 0);
	if (control == MAP_FAILED)
		return lp_errno();
	singles->control = control;
	return 0;
}

/*
 * The one namespace that is asked for, if it is there now, so that others' events do not fill the
 * ring; 0: all.
 */
static void choose(struct lp_trace *trace, void *state)
{
	enum { NONE = -1 };
	struct singles *singles = state;
	const struct lp_netns_list *list = lp_trace_namespaces(trace);
	uint32_t wanted = lp_trace_wants_one(trace) ? (uint32_t)NONE : 0;
	for (size_t i = 0; i < list->n && wanted; i++)
		if (lp_trace_wants_place(trace, &list->items[i]))
			wanted = (uint32_t)list->items[i].inode;
	__atomic_store_n(&singles->control->wanted, wanted, __ATOMIC_RELAXED);
}

static int load(struct singles *singles, struct lp_trace *trace, struct lp_error *err)
{
	singles->programs = each__open();
	if (!singles->programs)
		return -ENOMEM;
	int r = each__load(singles->programs);
	if (r == 0)
		r = lp_ring_open(singles->programs->maps.each_events.map_fd, LP_EACH_ROOM,
		                 &singles->ring);
	if (r == 0)
		r = map_control(singles);
	if (r == 0)
		choose(trace, singles);
	if (r == 0 && each__attach(singles->programs) < 0)
		r = lp_errno();
	return r < 0 ? lp_bpf_refused("this", "5.15", r, err) : 0;
}

static int open_singles(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	if (!lp_trace_options(trace)->each)
		return LP_TRACE_NOT_WANTED;
	struct singles *singles = calloc(1, sizeof(*singles));
	if (!singles)
		return -ENOMEM;
	lp_trace_who_begin(&singles->who, lp_trace_kernel(trace));
	int r = load(singles, trace, err);
	if (r < 0) {
		close_singles(singles);
		return r;
	}
	*ret = singles;
	return 0;
}

static int descriptor(const void *state)
{
	const struct singles *singles = state;
	return singles->programs->maps.each_events.map_fd;
}

static struct lp_ledger_party party_of(const struct lp_each_event *single)
{
	struct lp_ledger_party party = {.netns = {single->to.netns, single->to.netns_cookie},
	                                .cgroup_id = single->cgroup,
	                                .pid = (pid_t)single->pid};
	memcpy(party.command, single->command, sizeof(party.command));
	party.command[sizeof(party.command) - 1] = '\0';
	lp_utf8_clean(party.command);
	return party;
}

static int take(void *context, const void *record, size_t size)
{
	struct singles *singles = context;
	struct lp_each_event single;
	if (size < sizeof(single))
		return -EBADMSG;
	memcpy(&single, record, sizeof(single));
	const struct lp_ledger_party party = party_of(&single);
	if (!lp_trace_wants(singles->trace, party.netns))
		return 0;
	bool refused = single.what != LP_EACH_CLOSED_FIRST;
	struct lp_event event = {
	        .kind = refused ? LP_EVENT_REFUSED : LP_EVENT_CLOSED_FIRST,
	        .count = 1,
	        .has_remote = true,
	        .remote = lp_address_make(single.to.family, single.to.remote, single.to.ifindex),
	        .remote_port = single.to.port,
	};
	lp_trace_who_fill(&singles->who, &party, 1, &event);
	if (refused) {
		lp_trace_why_refused(single.what == LP_EACH_BOUND_PORT ? LP_REFUSAL_BOUND_PORT
		                                                       : LP_REFUSAL_NO_PORT,
		                     &event);
		event.search_ms = lp_real((double)single.took_ns / 1e6);
	}
	return lp_trace_emit(singles->trace, &event);
}

static int read_ring(struct lp_trace *trace, void *state)
{
	struct singles *singles = state;
	singles->trace = trace;
	return lp_ring_read(&singles->ring, take, singles);
}

static uint64_t lost(const void *state)
{
	const struct singles *singles = state;
	return __atomic_load_n(&singles->control->lost, __ATOMIC_RELAXED);
}

const struct lp_trace_source lp_trace_each = {
        .what = what,
        .lasting = true,
        .open = open_singles,
        .close = close_singles,
        .descriptor = descriptor,
        .ready = read_ring,
        .tick = read_ring, /* what came behind one that was still being written */
        .listed = choose,
        .lost = lost,
};

#else

static int open_singles(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	(void)ret;
	if (!lp_trace_options(trace)->each)
		return LP_TRACE_NOT_WANTED;
	return lp_fail(err, ENOTSUP, "lastport was built without programs for the kernel");
}

static void close_singles(void *state)
{
	(void)state;
}

const struct lp_trace_source lp_trace_each = {
        .what = what, .open = open_singles, .close = close_singles};

#endif
