/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/bpf_sample.h"
#include "snapshot/pools.h"

enum {
	PILOT_STRATA = 64, /* tell how full the table is */
	/* More pools than that one by one take as long as all at once. */
	MOST_CANDIDATES = 4,
	CLIENT_PORTS = 64512,
};

/* A pool that may be near its limit, while it is counted. */
struct candidate {
	struct lp_bpf_stop *stop;
	size_t number;
	struct lp_port_map seen; /* a socket that moved within the table is met twice */
};

struct sample {
	const struct lp_bpf_options *options;
	struct lp_bpf_pass *pass;
	uint32_t share;
	struct candidate candidates[MOST_CANDIDATES];
	size_t n;
};

/* The same for every namespace of the pass. 0 or -ENOMEM. */
static int tell_torn(const struct lp_bpf_pass *pass, const char *what, const char *why)
{
	int r = 0;
	for (size_t i = 0; i < pass->n && r == 0; i++) {
		struct lp_reading *reading = &pass->stops[i]->reading;
		reading->torn = true;
		r = lp_snapshot_gap(reading->snapshot, "sockets", reading->netns->inode, "%s: %s",
		                    what, why);
	}
	return r;
}

/* ---- ports --------------------------------------------------------------------------------- */

struct ports {
	const struct lp_bpf_pass *pass;
	int error;
};

static enum lp_told six_only(const struct lp_sample_port *port)
{
	if (!(port->flags & LP_SAMPLE_SIX_KNOWN))
		return LP_UNTOLD;
	return port->flags & LP_SAMPLE_SIX_ALONE ? LP_YES : LP_NO;
}

/* A socket on a wildcard is not connected, and so may others be. */
static int take_address(struct lp_sockets *sockets, const struct lp_sample_port *port)
{
	struct lp_address address = lp_address_make(AF_INET6, port->address, port->ifindex);
	bool wildcard = lp_address_is_any(&address);
	if (!wildcard)
		lp_sockets_taken(sockets, &address, port->port, six_only(port));
	if (wildcard || port->flags & LP_SAMPLE_BOUND)
		return lp_sockets_bound(sockets, &address, port->port, six_only(port) == LP_YES);
	return 0;
}

static void take_ports(void *context, const struct lp_sample_port *ports, uint32_t n)
{
	struct ports *told = context;
	for (uint32_t i = 0; i < n && told->error == 0; i++) {
		struct lp_bpf_stop *stop = lp_bpf_pass_stop(told->pass, ports[i].net);
		if (stop)
			stop->listens |= (ports[i].flags & LP_SAMPLE_LISTENS) != 0;
		if (stop && ports[i].flags & LP_SAMPLE_HELD)
			lp_sockets_closed(stop->reading.sockets, ports[i].port);
		else if (stop)
			told->error = take_address(stop->reading.sockets, &ports[i]);
	}
}

/* The programs are to tell … */
static void know_ports(const struct lp_bpf_pass *pass, bool closed, bool taken)
{
	for (size_t i = 0; i < pass->n; i++) {
		lp_sockets_know_closed(pass->stops[i]->reading.sockets, closed);
		lp_sockets_know_taken(pass->stops[i]->reading.sockets, taken);
	}
}

/* Where not all ports are told, what sock_diag said of them stands. */
static int read_ports(const struct lp_bpf_pass *pass, bool addresses)
{
	struct ports told = {.pass = pass};
	know_ports(pass, true, addresses);
	int r = lp_bpf_reader_ports(pass->reader, &pass->stops[0]->place, addresses, take_ports,
	                            &told);
	if (told.error < 0)
		return told.error;
	if (r == 0)
		return 0;
	know_ports(pass, false, false);
	return tell_torn(pass, "bound ports", strerror(-r));
}

/* The ports of all their listeners. */
static void tell_listeners(const struct lp_bpf_pass *pass)
{
	struct lp_port_map all = {0};
	for (size_t i = 0; i < pass->n; i++) {
		const struct lp_netns *netns = pass->stops[i]->reading.netns;
		for (size_t k = 0; k < netns->n_listeners; k++)
			lp_port_set(&all, netns->listeners[k].port);
	}
	lp_bpf_reader_by_local(pass->reader, all.bits);
}

/* ---- all connections ----------------------------------------------------------------------- */

static void begin(const struct lp_bpf_pass *pass)
{
	for (size_t i = 0; i < pass->n; i++)
		if (!pass->stops[i]->reading.settled)
			lp_sockets_begin(pass->stops[i]->reading.sockets);
}

static void count(struct lp_bpf_pass *pass, struct lp_bpf_seat *seat)
{
	(void)pass;
	lp_sockets_add_at(seat->stop->reading.sockets, &seat->socket, seat->at);
}

static int tell_walk(const struct lp_bpf_pass *pass, int result)
{
	if (result == -ENOMEM)
		return result;
	if (result < 0)
		return tell_torn(pass, "connections", strerror(-result));
	return pass->torn ? tell_torn(pass, "connections",
	                              "parts of the table changed each time "
	                              "that they were read")
	                  : 0;
}

/* Who each socket is costs as much again: asked for where all are told, or the few that matter. */
static uint32_t ids_for(const struct lp_bpf_options *options)
{
	if (!options->sightings)
		return LP_SAMPLE_NO_IDS;
	return options->sightings->time_waits ? LP_SAMPLE_ALL_IDS : LP_SAMPLE_LIVE_IDS;
}

static int walk_all(struct lp_bpf_pass *pass, const struct lp_bpf_options *options)
{
	begin(pass);
	pass->take = count;
	pass->ids = ids_for(options);
	int r = lp_bpf_pass_walk(pass, 0, pass->stops[0]->place.n_ehash / LP_SAMPLE_BLOCK, 1);
	return tell_walk(pass, r);
}

/* Those that are counted are left as they are. Returns how many are not. */
static size_t settle(struct lp_bpf_pass *pass)
{
	size_t open = 0;
	for (size_t i = 0; i < pass->n; i++) {
		struct lp_reading *reading = &pass->stops[i]->reading;
		reading->settled = !lp_sockets_recount(reading->sockets);
		open += !reading->settled;
	}
	return open;
}

static int read_all(struct lp_bpf_pass *pass, const struct lp_bpf_options *options)
{
	int r = walk_all(pass, options);
	if (r == 0 && settle(pass))
		r = walk_all(pass, options);
	return r;
}

/* ---- a sample ------------------------------------------------------------------------------ */

static uint32_t range_of(const struct lp_netns *netns)
{
	bool known = netns->range_low.known && netns->range_high.known;
	return known ? (uint32_t)(netns->range_high.n - netns->range_low.n) + 1 : 0;
}

/* From so many connections on a pool is to be counted, whatever else is not. */
static uint32_t enough(const struct lp_sockets *sockets)
{
	return lp_sockets_usable(sockets) * 4 / 5;
}

/* The largest share that shows every pool that matters, in each namespace that can have one. */
static uint32_t safe_share(const struct lp_bpf_pass *pass)
{
	uint32_t safe = LP_SAMPLE_MOST;
	for (size_t i = 0; i < pass->n; i++) {
		const struct lp_reading *reading = &pass->stops[i]->reading;
		const struct lp_netns *netns = reading->netns;
		uint32_t needed = enough(reading->sockets), ports = range_of(netns);
		struct lp_figure in_use = lp_netns_in_use(netns);
		bool few = in_use.known && netns->time_wait.known &&
		           in_use.n + netns->time_wait.n < needed / 4 * 3;
		if (!ports || !needed || few)
			continue;
		uint32_t share = lp_sample_safe(needed, ports, pass->stops[i]->place.n_ehash);
		safe = share < safe ? share : safe;
	}
	return safe;
}

/* How full the table is, by a few of its buckets. 0: read it all. A negative errno. */
static int choose_share(struct sample *sample)
{
	struct lp_bpf_pass *pass = sample->pass;
	const struct lp_bpf_options *options = sample->options;
	const struct lp_sample_place *place = &pass->stops[0]->place;
	uint32_t blocks = place->n_ehash / LP_SAMPLE_BLOCK;
	if (options->exact || !place->has_addresses || blocks < PILOT_STRATA * LP_SAMPLE_LEAST)
		return 0;
	pass->take = NULL;
	int r = lp_bpf_pass_walk(pass, 0, PILOT_STRATA, blocks / PILOT_STRATA);
	if (r < 0)
		return r;
	uint64_t connections = pass->records * (blocks / PILOT_STRATA);
	uint32_t least = options->aim ? 2 : LP_SAMPLE_LEAST;
	uint32_t share = lp_sample_share(connections, options->aim ? options->aim : LP_SAMPLE_AIM);
	uint32_t safe = safe_share(pass);
	sample->share = share < safe ? share : safe;
	if (sample->share < least || sample->share > blocks / PILOT_STRATA)
		sample->share = 0;
	return 0;
}

static void count_sampled(struct lp_bpf_pass *pass, struct lp_bpf_seat *seat)
{
	count(pass, seat);
	if (seat->at && seat->at->round && seat->at->pool < LP_POOLS_MAX)
		seat->stop->bases[seat->at->pool] = seat->base;
}

static void bases_done(const struct lp_bpf_pass *pass)
{
	for (size_t i = 0; i < pass->n; i++) {
		free(pass->stops[i]->bases);
		pass->stops[i]->bases = NULL;
	}
}

static int take_sample(const struct sample *sample)
{
	struct lp_bpf_pass *pass = sample->pass;
	for (size_t i = 0; i < pass->n; i++) {
		pass->stops[i]->bases = calloc(LP_POOLS_MAX, sizeof(uint32_t));
		if (!pass->stops[i]->bases)
			return -ENOMEM;
	}
	begin(pass);
	pass->take = count_sampled;
	uint32_t blocks = pass->stops[0]->place.n_ehash / LP_SAMPLE_BLOCK;
	return lp_bpf_pass_walk(pass, 0, blocks / sample->share, sample->share);
}

/*
 * Whether a pool may have reached four fifths of what it can. A client's is strewn over the table:
 * six standard deviations of what chance strews.
 */
static bool may_matter(const struct sample *sample, const struct lp_bpf_stop *stop,
                       const struct lp_pool *pool)
{
	uint32_t counted = lp_pool_total(pool), limit, margin;
	if (pool->key.side == LP_ACCEPTED) {
		counted -= pool->states[LP_TIME_WAIT];
		limit = CLIENT_PORTS * 4 / 5;
		margin = (uint32_t)(6 * sqrt((double)limit * sample->share));
	} else {
		limit = enough(stop->reading.sockets);
		margin = lp_sample_margin(range_of(stop->reading.netns), stop->place.n_ehash,
		                          sample->share);
	}
	return (uint64_t)counted * sample->share + margin >= limit;
}

/*
 * Lists the pools that may be near their limits. False: they can't be counted by themselves, being
 * too many, or not in one stretch of the table: a client's never is, others are since Linux 6.15,
 * which the sample shows.
 */
static bool choose_candidates(struct sample *sample)
{
	const struct lp_bpf_pass *pass = sample->pass;
	for (size_t i = 0; i < pass->n; i++) {
		struct lp_bpf_stop *stop = pass->stops[i];
		const struct lp_sockets *sockets = stop->reading.sockets;
		if (lp_sockets_dropped_bound(sockets))
			return false; /* not all are in the list */
		for (size_t k = 0; k < lp_sockets_pools(sockets); k++) {
			const struct lp_pool *pool = lp_sockets_pool(sockets, k);
			if (!may_matter(sample, stop, pool))
				continue;
			if (sample->n == MOST_CANDIDATES || pool->key.side == LP_ACCEPTED ||
			    pass->scattered)
				return false;
			sample->candidates[sample->n++] =
			        (struct candidate){.stop = stop, .number = k};
		}
	}
	return true;
}

static void count_candidate(struct lp_bpf_pass *pass, struct lp_bpf_seat *seat)
{
	struct candidate *candidate = pass->context;
	if (seat->stop != candidate->stop || lp_port_get(&candidate->seen, seat->socket.local_port))
		return;
	if (lp_sockets_add_to(seat->stop->reading.sockets, candidate->number, &seat->socket,
	                      seat->at))
		lp_port_set(&candidate->seen, seat->socket.local_port);
}

/*
 * Counts a candidate. -EAGAIN: what was found is not what the sample promised, so that it does not
 * lie where it should.
 */
static int count_pool(const struct sample *sample, struct candidate *candidate)
{
	struct lp_bpf_pass *pass = sample->pass;
	struct lp_sockets *sockets = candidate->stop->reading.sockets;
	const struct lp_netns *netns = candidate->stop->reading.netns;
	const struct lp_pool *pool = lp_sockets_pool(sockets, candidate->number);
	uint32_t estimate = lp_pool_total(pool);
	uint32_t margin =
	        lp_sample_margin(range_of(netns), candidate->stop->place.n_ehash, sample->share);
	lp_sockets_begin_pool(sockets, candidate->number);
	pass->take = count_candidate;
	pass->ids = ids_for(sample->options);
	pass->context = candidate;
	int r = lp_bpf_pass_walk_pool(pass, candidate->stop->bases[candidate->number],
	                              (uint32_t)netns->range_low.n, (uint32_t)netns->range_high.n);
	if (r < 0)
		return r;
	return pass->torn || lp_pool_total(pool) + margin < estimate ? -EAGAIN : 0;
}

/* What a sample can't tell of a namespace. */
static int tell_sampled(struct lp_reading *reading, uint32_t share)
{
	const struct lp_netns *netns = reading->netns;
	lp_sockets_estimate(reading->sockets, share);
	return netns->n_listeners ? lp_snapshot_gap(reading->snapshot, "syn-queue", netns->inode,
	                                            "one connection in %" PRIu32
	                                            " was read; --exact counts requests too",
	                                            share)
	                          : 0;
}

/* 0; -EAGAIN: all have to be read; or another negative errno. */
static int read_sample(struct sample *sample)
{
	struct lp_bpf_pass *pass = sample->pass;
	int r = take_sample(sample);
	if (r == 0 && (pass->torn || !choose_candidates(sample)))
		return -EAGAIN;
	for (size_t i = 0; i < pass->n && r == 0; i++)
		r = tell_sampled(&pass->stops[i]->reading, sample->share);
	for (size_t i = 0; i < sample->n && r == 0; i++)
		r = count_pool(sample, &sample->candidates[i]);
	return r;
}

/* ---- both ---------------------------------------------------------------------------------- */

/*
 * The sockets read beside those that sockstat told before. Where they are far apart, this is not
 * the table that the programs take it for.
 */
static int check_total(struct lp_reading *reading)
{
	const struct lp_netns *netns = reading->netns;
	struct lp_figure in_use = lp_netns_in_use(netns);
	if (!in_use.known || !netns->time_wait.known)
		return 0;
	uint64_t read = netns->n_listeners, told = in_use.n + netns->time_wait.n;
	for (int state = 0; state < LP_STATES; state++)
		if (state != LP_SYN_RECV)
			read += netns->states[state];
	uint64_t apart = read > told ? read - told : told - read;
	uint64_t chance = (uint64_t)(8 * sqrt((double)told * netns->sampled));
	if (apart <= told / 4 + 256 + chance)
		return 0;
	reading->torn = true;
	return lp_snapshot_gap(reading->snapshot, "sockets", netns->inode,
	                       "%" PRIu64 " sockets were read where sockstat tells of %" PRIu64,
	                       read, told);
}

static int read_pass(struct lp_bpf_pass *pass, const struct lp_bpf_options *options)
{
	_cleanup_(lp_free_ptr) struct sample *sample = calloc(1, sizeof(*sample));
	if (!sample)
		return -ENOMEM;
	*sample = (struct sample){.options = options, .pass = pass};
	tell_listeners(pass);
	int r = read_ports(pass, pass->stops[0]->place.has_addresses);
	if (r < 0)
		return r;
	begin(pass); /* the ports that connect() may choose are known from here on */
	r = choose_share(sample);
	if (r == 0)
		r = sample->share ? read_sample(sample) : -EAGAIN;
	bases_done(pass);
	if (r == -EAGAIN)
		return read_all(pass, options);
	return r < 0 ? tell_walk(pass, r) : 0;
}

int lp_bpf_sockets_read(struct lp_bpf_reader *reader, const struct lp_bpf_options *options,
                        struct lp_bpf_stop *stops, size_t n)
{
	_cleanup_(lp_bpf_pass_done) struct lp_bpf_pass pass = {0};
	if (!n)
		return 0;
	int r = lp_bpf_pass_begin(&pass, reader, options->hz, stops, n);
	if (r == 0)
		r = read_pass(&pass, options);
	for (size_t i = 0; i < n && r == 0; i++) {
		stops[i].reading.netns->aged_exact = true;
		r = check_total(&stops[i].reading);
	}
	return r;
}
