/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SYNs that netfilter drops, by the place in the kernel: what tells a rule from connection
 * tracking. A program on the tracepoint kfree_skb counts them; it is there as long as the trace.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/kallsyms.h"
#include "kernel/trace_sources.h"

#if HAVE_BPF

#include "bpf/drops.h"
#include "kernel/bpf_call.h"

#include "bpf/drops.skel.h"

/* A place in a namespace, and how many were told of. */
struct told {
	struct lp_drops_place place;
	uint64_t n;
};

/* What an address is, asked once. */
struct symbol {
	uint64_t location;
	char name[LP_SYMBOL];
};

enum { SYMBOLS = 64 };

struct netfilter {
	struct drops *programs;
	struct told told[LP_DROPS_PLACES];
	size_t n_told;
	struct symbol symbols[SYMBOLS];
	size_t n_symbols;
	int64_t read_ns;
};

static void close_netfilter(void *state)
{
	struct netfilter *netfilter = state;
	if (netfilter->programs)
		drops__destroy(netfilter->programs);
	free(netfilter);
}

static int load(struct netfilter *netfilter, struct lp_error *err)
{
	netfilter->programs = drops__open();
	if (!netfilter->programs)
		return -ENOMEM;
	int r = drops__load(netfilter->programs);
	if (r == 0 && drops__attach(netfilter->programs) < 0)
		r = lp_errno();
	return r < 0 ? lp_bpf_refused("this", "5.17", r, err) : 0;
}

static int open_netfilter(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	(void)trace;
	struct netfilter *netfilter = calloc(1, sizeof(*netfilter));
	int r = netfilter ? load(netfilter, err) : -ENOMEM;
	if (r < 0) {
		if (netfilter)
			close_netfilter(netfilter);
		return r;
	}
	netfilter->read_ns = lp_clock_ns();
	*ret = netfilter;
	return 0;
}

static struct told *told_of(struct netfilter *netfilter, const struct lp_drops_place *place)
{
	for (size_t i = 0; i < netfilter->n_told; i++)
		if (!memcmp(&netfilter->told[i].place, place, sizeof(*place)))
			return &netfilter->told[i];
	if (netfilter->n_told == LP_DROPS_PLACES)
		return NULL;
	netfilter->told[netfilter->n_told] = (struct told){.place = *place};
	return &netfilter->told[netfilter->n_told++];
}

/* "" where the kernel does not tell. */
static const char *symbol_of(struct lp_trace *trace, struct netfilter *netfilter, uint64_t location)
{
	for (size_t i = 0; i < netfilter->n_symbols; i++)
		if (netfilter->symbols[i].location == location)
			return netfilter->symbols[i].name;
	if (netfilter->n_symbols == SYMBOLS)
		return "";
	struct symbol *symbol = &netfilter->symbols[netfilter->n_symbols++];
	*symbol = (struct symbol){.location = location};
	if (lp_kallsyms_find(lp_trace_kernel(trace), location, symbol->name) < 0)
		symbol->name[0] = '\0';
	return symbol->name;
}

/* What a place means. nft_do_chain() frees what a rule drops since Linux 6.8. */
static void explain(const char *symbol, char why[LP_SYMBOL * 2])
{
	const char *means = "";
	if (!strcmp(symbol, "nft_do_chain"))
		means = ": a rule of nftables";
	else if (!strncmp(symbol, "nf_hook_slow", strlen("nf_hook_slow")))
		means = ": connection tracking, or a hook of another kind";
	else if (!*symbol)
		symbol = "a place that the kernel does not name (kernel.kptr_restrict)";
	(void)snprintf(why, LP_SYMBOL * 2, "%s%s", symbol, means);
}

static int tell(struct lp_trace *trace, struct netfilter *netfilter, struct told *told, uint64_t n,
                double seconds)
{
	char why[LP_SYMBOL * 2];
	uint64_t grown = n - told->n;
	told->n = n;
	const struct lp_netns_id netns = {told->place.netns, told->place.netns_cookie};
	if (!grown || (netns.inode && !lp_trace_wants(trace, netns)))
		return 0;
	explain(symbol_of(trace, netfilter, told->place.location), why);
	struct lp_event event = {
	        .kind = LP_EVENT_NETFILTER_DROP,
	        .has_netns = netns.inode != 0,
	        .netns = netns,
	        .count = grown,
	        .rate = lp_real((double)grown / seconds),
	        .why = why,
	};
	return lp_trace_emit(trace, &event);
}

static int tick(struct lp_trace *trace, void *state)
{
	struct netfilter *netfilter = state;
	int map = netfilter->programs->maps.places.map_fd;
	int64_t now = lp_clock_ns();
	double seconds = (double)(now - netfilter->read_ns) / 1e9;
	struct lp_drops_place place, *before = NULL;
	int r = 0;
	netfilter->read_ns = now;
	for (size_t i = 0; r == 0 && i < LP_DROPS_PLACES; i++) {
		if (lp_bpf_entry(BPF_MAP_GET_NEXT_KEY, map, before, &place) < 0)
			break;
		before = &place;
		uint64_t n;
		struct told *told = told_of(netfilter, &place);
		if (told && lp_bpf_entry(BPF_MAP_LOOKUP_ELEM, map, &place, &n) == 0)
			r = tell(trace, netfilter, told, n, seconds);
	}
	return r;
}

static uint64_t lost(const void *state)
{
	const struct netfilter *netfilter = state;
	uint32_t key = 0;
	uint64_t n = 0;
	return lp_bpf_entry(BPF_MAP_LOOKUP_ELEM, netfilter->programs->maps.lost.map_fd, &key, &n) ==
	                       0
	               ? n
	               : 0;
}

const struct lp_trace_source lp_trace_netfilter = {
        .what = "SYNs dropped by netfilter",
        .lasting = true,
        .open = open_netfilter,
        .close = close_netfilter,
        .tick = tick,
        .lost = lost,
};

#else

static int open_netfilter(struct lp_trace *trace, void **ret, struct lp_error *err)
{
	(void)trace;
	(void)ret;
	return lp_fail(err, ENOTSUP, "lastport was built without programs for the kernel");
}

static void close_netfilter(void *state)
{
	(void)state;
}

const struct lp_trace_source lp_trace_netfilter = {
        .what = "SYNs dropped by netfilter",
        .open = open_netfilter,
        .close = close_netfilter,
};

#endif
