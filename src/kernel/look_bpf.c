/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/look_bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/owners.h"
#include "snapshot/pools.h"

/*
 * From so many TCP sockets on, reading them quicker makes good for loading the programs. Whole
 * looks by either reader in 41 pairs, two processors, Linux 6.18: sock_diag took 1.00 times the
 * processor time of the programs at 50,000 sockets, 1.10 at 55,000, 1.26 at 80,000.
 */
enum { WORTH_LOADING = 50000 };

/* Whether programs are asked for, or worth loading for so many sockets. */
static bool is_wanted(const struct lp_look_options *options, struct lp_figure sockets)
{
	if (options->reader != LP_READ_AUTO)
		return options->reader == LP_READ_BPF;
	return sockets.known && sockets.n >= WORTH_LOADING;
}

static void forget_stops(struct lp_look_bpf *bpf)
{
	for (size_t i = 0; i < bpf->n; i++)
		lp_reading_done(&bpf->stops[i].reading);
	bpf->n = 0;
	bpf->pools = 0;
}

/* ---- loading ------------------------------------------------------------------------------- */

static void *load(void *context)
{
	struct lp_bpf_loading *loading = context;
	loading->result = lp_bpf_reader_open(&loading->reader, &loading->why);
	return NULL;
}

/* As lp_bpf_reader_open(), which may have been begun. */
static int loaded(struct lp_look_bpf *bpf, struct lp_error *why)
{
	struct lp_bpf_loading *loading = &bpf->loading;
	if (!loading->begun)
		return lp_bpf_reader_open(&bpf->reader, why);
	(void)pthread_join(loading->thread, NULL);
	loading->begun = false;
	bpf->reader = lp_take_ptr(loading->reader);
	*why = loading->why;
	return loading->result;
}

void lp_look_bpf_begin(struct lp_look_bpf *bpf, const struct lp_kernel *kernel,
                       const struct lp_look_options *options)
{
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *scratch = lp_snapshot_new();
	struct lp_netns *netns = scratch ? lp_snapshot_add_netns(scratch) : NULL;
	if (!netns || lp_sockstat_read(kernel, scratch, netns) < 0)
		return;
	if (is_wanted(options, lp_snapshot_sockets(scratch)))
		bpf->loading.begun =
		        pthread_create(&bpf->loading.thread, NULL, load, &bpf->loading) == 0;
}

void lp_look_bpf_done(struct lp_look_bpf *bpf)
{
	struct lp_error why;
	if (bpf->loading.begun)
		(void)loaded(bpf, &why);
	forget_stops(bpf);
	free(bpf->unentered);
	lp_bpf_reader_close(bpf->reader);
	*bpf = (struct lp_look_bpf){0};
}

/* Loads the programs and sees whether they find what they look for. */
static int open_programs(struct lp_look_bpf *bpf, struct lp_error *why)
{
	int r = loaded(bpf, why);
	if (r < 0)
		return r;
	r = lp_bpf_reader_here(bpf->reader, &bpf->here);
	if (r == 0)
		bpf->options.hz = lp_bpf_reader_hz(bpf->reader, &bpf->here);
	bpf->tells_bound = bpf->here.has_addresses;
	if (r == 0 && bpf->options.hz)
		return 0;
	lp_bpf_reader_close(bpf->reader);
	bpf->reader = NULL;
	return lp_fail(why, ENOTSUP, "this kernel's tables are not laid out as expected");
}

int lp_look_bpf_choose(struct lp_look_bpf *bpf, const struct lp_look_options *options,
                       struct lp_snapshot *snapshot)
{
	struct lp_error why = {0};
	if (!is_wanted(options, lp_snapshot_sockets(snapshot)))
		return 0;
	int r = open_programs(bpf, &why);
	bpf->options.exact = options->exact;
	bpf->options.sightings = options->notes ? &options->notes->sightings : NULL;
	bpf->options.aim = options->sample;
	if (r == 0)
		snapshot->reader = LP_READER_BPF;
	if (r == 0 || options->reader != LP_READ_BPF)
		return 0;
	return lp_snapshot_gap(snapshot, "reader", 0, "sock_diag read the sockets: %s", why.text);
}

static int end_stop(struct lp_bpf_stop *stop)
{
	int r = stop->unentered ? lp_look_unentered_end(stop) : 0;
	return r < 0 ? r : lp_reading_end(&stop->reading);
}

int lp_look_bpf_end(struct lp_look_bpf *bpf)
{
	int r = lp_bpf_sockets_read(bpf->reader, &bpf->options, bpf->stops, bpf->n);
	for (size_t i = 0; i < bpf->n && r == 0; i++)
		r = end_stop(&bpf->stops[i]);
	forget_stops(bpf);
	return r;
}

/* How many pools a namespace may have: each has a socket. */
static uint64_t pools_of(const struct lp_netns *netns)
{
	struct lp_figure in_use = lp_netns_in_use(netns);
	uint64_t sockets = in_use.n + netns->time_wait.n;
	bool few = in_use.known && netns->time_wait.known && sockets < LP_POOLS_MAX;
	return few ? sockets : LP_POOLS_MAX;
}

/* Whether it fits: the same table, and what is kept of all together is bounded. */
static bool takes(const struct lp_look_bpf *bpf, const struct lp_bpf_stop *stop, uint64_t pools)
{
	if (!bpf->n)
		return true;
	return bpf->n < sizeof(bpf->stops) / sizeof(bpf->stops[0]) &&
	       bpf->stops[0].place.ehash == stop->place.ehash && bpf->pools + pools <= LP_POOLS_MAX;
}

int lp_look_bpf_add(struct lp_look_bpf *bpf, struct lp_bpf_stop *stop, uint64_t pools)
{
	int r = takes(bpf, stop, pools) ? 0 : lp_look_bpf_end(bpf);
	if (r < 0)
		return r;
	bpf->stops[bpf->n++] = *stop;
	stop->reading.sockets = NULL;
	bpf->pools += pools;
	return 0;
}

/* What holds ports in the namespace, and which table is its, from inside. */
static int begin_stop(const struct lp_look_bpf *bpf, struct lp_bpf_stop *stop,
                      struct lp_snapshot *snapshot, struct lp_netns *netns,
                      const struct lp_port_map *reserved, const struct lp_sockets_options *options)
{
	int r = lp_reading_begin(&stop->reading, snapshot, netns, reserved, options);
	if (r < 0)
		return r;
	r = lp_bpf_reader_here(bpf->reader, &stop->place);
	if (r == 0)
		return 0;
	stop->reading.failed = true;
	return lp_snapshot_gap(snapshot, "sockets", netns->inode, "connections: %s", strerror(-r));
}

int lp_look_bpf_read(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot, struct lp_netns *netns,
                     const struct lp_port_map *reserved, const struct lp_sockets_options *options)
{
	struct lp_bpf_stop stop = {0};
	struct lp_sockets_options those = *options;
	bool tells_bound = options->bound && bpf->tells_bound;
	those.bound = options->bound && !tells_bound;
	int r = begin_stop(bpf, &stop, snapshot, netns, reserved, &those);
	stop.reading.options = NULL; /* theirs ends here */
	bool nothing = !tells_bound && !lp_reading_has_connections(&stop.reading);
	if (r == 0 && (stop.reading.failed || nothing)) {
		lp_sockets_begin(stop.reading.sockets);
		r = lp_reading_end(&stop.reading);
	} else if (r == 0) {
		r = lp_look_bpf_add(bpf, &stop, pools_of(netns));
	}
	lp_reading_done(&stop.reading);
	return r;
}
