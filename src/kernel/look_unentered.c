/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Namespaces that nothing leads to: a socket that outlived all else is enough to keep one. Programs
 * find them in the kernel's own list, and read there what a process inside would be told.
 */

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "kernel/look_bpf.h"

static bool is_known(const struct lp_snapshot *snapshot, uint64_t inode)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].inode == inode)
			return true;
	return false;
}

static void tell_sysctls(struct lp_netns *netns, const struct lp_sample_net *net)
{
	netns->inode = net->inode;
	netns->cookie = net->cookie;
	netns->range_low = lp_figure(net->low);
	netns->range_high = lp_figure(net->high);
	netns->tw_reuse = lp_figure(net->tw_reuse);
	netns->tw_reuse_delay_ms = lp_figure(net->has_delay ? net->tw_reuse_delay_ms : 1000);
	netns->timestamps = lp_figure(net->timestamps);
	netns->max_tw_buckets = lp_figure(net->max_tw_buckets);
	netns->time_wait = lp_figure(net->time_wait);
}

static int keep(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot,
                const struct lp_sample_net *net, size_t *room)
{
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	if (!netns || !lp_array_grow(&bpf->unentered, room, bpf->n_unentered, sizeof(*net)))
		return -ENOMEM;
	tell_sysctls(netns, net);
	netns->device = snapshot->netns[0].device;
	bpf->unentered[bpf->n_unentered++] = *net;
	return 0;
}

int lp_look_unentered_list(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot)
{
	const struct lp_sample_net *nets = NULL;
	uint32_t n = 0;
	size_t room = 0;
	int r = lp_bpf_reader_nets(bpf->reader, &nets, &n);
	if (r < 0)
		return lp_snapshot_gap(snapshot, "namespaces", 0,
		                       "whether there are any that nothing leads to");
	for (uint32_t i = 0; i < n && r == 0; i++)
		if (!is_known(snapshot, nets[i].inode))
			r = keep(bpf, snapshot, &nets[i], &room);
	return r;
}

static const struct lp_sample_net *find(const struct lp_look_bpf *bpf, uint64_t inode)
{
	size_t i = 0;
	while (i + 1 < bpf->n_unentered && bpf->unentered[i].inode != inode)
		i++;
	return &bpf->unentered[i];
}

void lp_look_unentered_reserved(struct lp_look_bpf *bpf, struct lp_netns *netns,
                                struct lp_port_map *ret)
{
	const struct lp_sample_net *net = find(bpf, netns->inode);
	if (lp_bpf_reader_reserved(bpf->reader, net->net, ret->bits) < 0)
		*ret = (struct lp_port_map){0};
	netns->reserved = lp_port_count(ret, net->low, net->high);
}

int lp_look_unentered_read(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot,
                           struct lp_netns *netns, const struct lp_port_map *reserved,
                           struct lp_sightings *sightings)
{
	const struct lp_sample_net *net = find(bpf, netns->inode);
	struct lp_bpf_stop stop = {
	        .place = bpf->here,
	        .reading = {.snapshot = snapshot, .netns = netns},
	        .unentered = true,
	};
	stop.place.net = net->net;
	stop.place.ehash = net->ehash;
	stop.place.bhash = net->bhash;
	stop.place.n_ehash = net->n_ehash;
	stop.place.n_bhash = net->n_bhash;
	int r = lp_sockets_new(netns, reserved, &stop.reading.sockets);
	if (r < 0)
		return r;
	if (sightings)
		lp_sockets_sight(stop.reading.sockets, sightings,
		                 (size_t)(netns - snapshot->netns));
	r = lp_look_bpf_add(bpf, &stop, net->time_wait);
	lp_reading_done(&stop.reading);
	return r;
}

/*
 * Of one that was made since, or has no connection, there is nothing to tell. What listens would
 * have been told by sock_diag: without it nothing is known of those who connect there.
 */
int lp_look_unentered_end(struct lp_bpf_stop *stop)
{
	struct lp_reading *reading = &stop->reading;
	struct lp_netns *netns = reading->netns;
	uint64_t connections = 0, live = 0;
	for (int state = 0; state < LP_STATES; state++) {
		connections += netns->states[state];
		live += state == LP_TIME_WAIT ? 0 : netns->states[state];
	}
	netns->in_use4 = lp_figure(live); /* as far as it is known */
	reading->failed = !connections;
	return connections && stop->listens
	               ? lp_snapshot_gap(reading->snapshot, "sockets", netns->inode,
	                                 "listeners: nothing leads into this namespace")
	               : 0;
}
