/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct pass {
	struct by_net {
		struct lp_bpf_stop *stop;
	} * by_net; /* sorted */
	size_t n;
	struct lp_bpf_stop *last; /* that of the socket before: mostly the next one's too */
	uint32_t hz;
	bool has_age;
};

static int compare_net(const void *a, const void *b)
{
	const struct by_net *x = a, *y = b;
	return (x->stop->place.net > y->stop->place.net) -
	       (x->stop->place.net < y->stop->place.net);
}

static struct lp_bpf_stop *stop_of(struct pass *pass, uint64_t net)
{
	if (pass->last && pass->last->place.net == net)
		return pass->last;
	size_t low = 0, high = pass->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (pass->by_net[middle].stop->place.net < net)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == pass->n || pass->by_net[low].stop->place.net != net)
		return NULL;
	return pass->last = pass->by_net[low].stop;
}

static uint32_t left_ms(const struct pass *pass, const struct lp_sample_record *record)
{
	uint64_t ms = record->left > 0 ? (uint64_t)record->left * 1000 / pass->hz : 0;
	return ms < LP_TIME_WAIT_S * 1000 ? (uint32_t)ms : LP_TIME_WAIT_S * 1000;
}

static struct lp_socket decode(const struct pass *pass, const struct lp_sample_record *record)
{
	return (struct lp_socket){
	        .local = lp_address_make(record->family, record->local, record->ifindex),
	        .remote = lp_address_make(record->family, record->remote, record->ifindex),
	        .local_port = record->local_port,
	        .remote_port = record->remote_port,
	        .state = record->state,
	        .v6only = record->flags & LP_SAMPLE_V6ONLY ? LP_YES : LP_NO,
	        .timestamps = record->flags & LP_SAMPLE_TIMESTAMPS ? LP_YES : LP_NO,
	        .age_told = pass->has_age,
	        .left_ms = left_ms(pass, record),
	        .age_ms = record->age_ms,
	};
}

/* What a connection can be; anything else was no socket of ours. */
static bool makes_sense(const struct lp_sample_record *record)
{
	return (record->family == AF_INET || record->family == AF_INET6) && record->state > 0 &&
	       record->state < LP_STATES && record->state != LP_LISTEN && record->local_port;
}

static void take_sockets(void *context, const struct lp_sample_record *records, uint32_t n)
{
	struct pass *pass = context;
	for (uint32_t i = 0; i < n; i++) {
		const struct lp_bpf_stop *stop = stop_of(pass, records[i].net);
		if (!stop || stop->reading.settled || !makes_sense(&records[i]))
			continue;
		struct lp_socket socket = decode(pass, &records[i]);
		lp_sockets_add(stop->reading.sockets, &socket);
	}
}

static void take_ports(void *context, const struct lp_sample_port *ports, uint32_t n)
{
	struct pass *pass = context;
	for (uint32_t i = 0; i < n; i++) {
		const struct lp_bpf_stop *stop = stop_of(pass, ports[i].net);
		if (stop)
			lp_sockets_closed(stop->reading.sockets, (uint16_t)ports[i].port);
	}
}

/* The same for every namespace of the pass. 0 or -ENOMEM. */
static int tell_torn(const struct pass *pass, const char *what, const char *why)
{
	int r = 0;
	for (size_t i = 0; i < pass->n && r == 0; i++) {
		struct lp_reading *reading = &pass->by_net[i].stop->reading;
		reading->torn = true;
		r = lp_snapshot_gap(reading->snapshot, "sockets", reading->netns->inode, "%s: %s",
		                    what, why);
	}
	return r;
}

static void know_ports(const struct pass *pass, bool knows)
{
	for (size_t i = 0; i < pass->n; i++)
		lp_sockets_know_closed(pass->by_net[i].stop->reading.sockets, knows);
}

/* Where not all ports are told, what sock_diag said of them stands. */
static int read_ports(struct lp_bpf_reader *reader, struct pass *pass)
{
	know_ports(pass, true);
	int r = lp_bpf_reader_ports(reader, &pass->by_net[0].stop->place, take_ports, pass);
	if (r == 0)
		return 0;
	know_ports(pass, false);
	return tell_torn(pass, "bound ports", strerror(-r));
}

static int walk(struct lp_bpf_reader *reader, struct pass *pass)
{
	struct lp_bpf_walk how;
	for (size_t i = 0; i < pass->n; i++)
		if (!pass->by_net[i].stop->reading.settled)
			lp_sockets_begin(pass->by_net[i].stop->reading.sockets);
	int r = lp_bpf_reader_walk(reader, &pass->by_net[0].stop->place, take_sockets, pass, &how);
	if (r < 0)
		return tell_torn(pass, "connections", strerror(-r));
	return how.torn ? tell_torn(pass, "connections",
	                            "parts of the table changed each time "
	                            "that they were read")
	                : 0;
}

/* Those that are counted are left as they are. Returns how many are not. */
static size_t settle(struct pass *pass)
{
	size_t open = 0;
	for (size_t i = 0; i < pass->n; i++) {
		struct lp_reading *reading = &pass->by_net[i].stop->reading;
		reading->settled = !lp_sockets_recount(reading->sockets);
		open += !reading->settled;
	}
	return open;
}

/*
 * The sockets read beside those that sockstat told before. Where they are far apart, this is not
 * the table that the programs take it for.
 */
static int check_total(struct lp_reading *reading)
{
	const struct lp_netns *netns = reading->netns;
	if (!netns->in_use4.known || !netns->time_wait.known)
		return 0;
	uint64_t read = netns->n_listeners, told = netns->in_use4.n + netns->time_wait.n;
	if (netns->in_use6.known)
		told += netns->in_use6.n;
	for (int state = 0; state < LP_STATES; state++)
		if (state != LP_SYN_RECV)
			read += netns->states[state];
	uint64_t apart = read > told ? read - told : told - read;
	if (apart <= told / 4 + 256)
		return 0;
	reading->torn = true;
	return lp_snapshot_gap(reading->snapshot, "sockets", netns->inode,
	                       "%" PRIu64 " sockets were read where sockstat tells of %" PRIu64,
	                       read, told);
}

int lp_bpf_sockets_read(struct lp_bpf_reader *reader, uint32_t hz, struct lp_bpf_stop *stops,
                        size_t n)
{
	if (!n)
		return 0;
	_cleanup_(lp_free_ptr) struct by_net *sorted = calloc(n, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i].stop = &stops[i];
	qsort(sorted, n, sizeof(*sorted), compare_net);
	struct pass pass = {
	        .by_net = sorted, .n = n, .hz = hz, .has_age = stops[0].place.has_age != 0};
	int r = read_ports(reader, &pass);
	if (r == 0)
		r = walk(reader, &pass);
	if (r == 0 && settle(&pass))
		r = walk(reader, &pass);
	for (size_t i = 0; i < n && r == 0; i++) {
		stops[i].reading.netns->aged_exact = true;
		r = check_total(&stops[i].reading);
	}
	return r;
}
