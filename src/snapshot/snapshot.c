/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "snapshot/ledger.h"
#include "snapshot/nat.h"
#include "snapshot/owners.h"

const char *lp_state_name(enum lp_tcp_state state)
{
	static const char *const names[LP_STATES] = {
	        [LP_ESTABLISHED] = "established",
	        [LP_SYN_SENT] = "syn_sent",
	        [LP_SYN_RECV] = "syn_recv",
	        [LP_FIN_WAIT1] = "fin_wait1",
	        [LP_FIN_WAIT2] = "fin_wait2",
	        [LP_TIME_WAIT] = "time_wait",
	        [LP_CLOSE] = "close",
	        [LP_CLOSE_WAIT] = "close_wait",
	        [LP_LAST_ACK] = "last_ack",
	        [LP_LISTEN] = "listen",
	        [LP_CLOSING] = "closing",
	};
	return names[state];
}

uint32_t lp_port_count(const struct lp_port_map *map, uint32_t low, uint32_t high)
{
	uint32_t n = 0;
	for (uint32_t port = low; port <= high;) {
		if (port % 64 == 0 && port + 63 <= high) {
			n += (uint32_t)__builtin_popcountll(map->bits[port / 64]);
			port += 64;
		} else {
			n += lp_port_get(map, port++);
		}
	}
	return n;
}

struct lp_snapshot *lp_snapshot_new(void)
{
	return calloc(1, sizeof(struct lp_snapshot));
}

static void netns_done(struct lp_netns *netns)
{
	free(netns->name);
	free(netns->reserved_ports);
	free(netns->listeners);
	free(netns->binds);
	free(netns->pools);
	free(netns->conntrack);
	lp_nat_pools_free(netns->nats, netns->n_nats);
}

void lp_snapshot_free(struct lp_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (size_t i = 0; i < snapshot->n_netns; i++)
		netns_done(&snapshot->netns[i]);
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		free(snapshot->gaps[i].why);
	free(snapshot->netns);
	free(snapshot->processes);
	lp_settings_done(&snapshot->settings);
	free(snapshot->programs);
	lp_ledger_facts_free(snapshot->ledger);
	free(snapshot->gaps);
	lp_owners_free(snapshot->owners, snapshot->n_owners);
	free(snapshot);
}

const struct lp_program *lp_snapshot_program(const struct lp_snapshot *snapshot, pid_t pid)
{
	for (size_t i = 0; i < snapshot->n_programs; i++)
		if (snapshot->programs[i].pid == pid)
			return &snapshot->programs[i];
	return NULL;
}

static bool gap_known(const struct lp_snapshot *s, const char *what, uint64_t netns,
                      const char *why)
{
	for (size_t i = 0; i < s->n_gaps; i++) {
		const struct lp_gap *gap = &s->gaps[i];
		if (gap->netns == netns && !strcmp(gap->what, what) && !strcmp(gap->why, why))
			return true;
	}
	return false;
}

static void *append(void *items, size_t *room, size_t *n, size_t size)
{
	void **base = items;
	if (!lp_array_grow(items, room, *n, size))
		return NULL;
	void *item = (char *)*base + *n * size;
	memset(item, 0, size);
	(*n)++;
	return item;
}

int lp_snapshot_gap(struct lp_snapshot *snapshot, const char *what, uint64_t netns,
                    const char *format, ...)
{
	_cleanup_(lp_free_ptr) char *why = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&why, format, args);
	va_end(args);
	if (length < 0) {
		why = NULL;
		return -ENOMEM;
	}
	if (gap_known(snapshot, what, netns, why))
		return 0;
	struct lp_gap *gap =
	        append(&snapshot->gaps, &snapshot->room_gaps, &snapshot->n_gaps, sizeof(*gap));
	if (!gap)
		return -ENOMEM;
	*gap = (struct lp_gap){.what = what, .netns = netns, .why = lp_take_ptr(why)};
	return 0;
}

struct lp_netns *lp_snapshot_add_netns(struct lp_snapshot *snapshot)
{
	return append(&snapshot->netns, &snapshot->room_netns, &snapshot->n_netns,
	              sizeof(struct lp_netns));
}

struct lp_process *lp_snapshot_add_process(struct lp_snapshot *snapshot)
{
	return append(&snapshot->processes, &snapshot->room_processes, &snapshot->n_processes,
	              sizeof(struct lp_process));
}

uint32_t lp_pool_total(const struct lp_pool *pool)
{
	uint32_t sum = 0;
	for (int state = 0; state < LP_STATES; state++)
		sum += pool->states[state];
	return sum;
}

struct lp_figure lp_netns_in_use(const struct lp_netns *netns)
{
	struct lp_figure in_use = netns->in_use4;
	if (in_use.known && netns->in_use6.known)
		in_use.n += netns->in_use6.n;
	return in_use;
}

struct lp_figure lp_snapshot_sockets(const struct lp_snapshot *snapshot)
{
	struct lp_figure sum = lp_figure(0);
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		struct lp_figure in_use = lp_netns_in_use(netns);
		if (!in_use.known || !netns->time_wait.known)
			return (struct lp_figure){0};
		sum.n += in_use.n + netns->time_wait.n;
	}
	return sum;
}

uint32_t lp_snapshot_sampled(const struct lp_snapshot *snapshot)
{
	uint32_t most = 0;
	for (size_t i = 0; i < snapshot->n_netns; i++)
		most = snapshot->netns[i].sampled > most ? snapshot->netns[i].sampled : most;
	return most;
}

uint32_t lp_netns_range_ports(const struct lp_netns *netns)
{
	if (!netns->range_low.known || !netns->range_high.known ||
	    netns->range_low.n > netns->range_high.n)
		return 0;
	return (uint32_t)(netns->range_high.n - netns->range_low.n) + 1 - netns->reserved;
}
