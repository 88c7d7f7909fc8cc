/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/tracks.h"

#include <stdbool.h>
#include <stdlib.h>

#include "snapshot/tally.h"

enum { PORTS = 65536, LATER = LP_CT_DRAIN_POINTS };

struct lp_tracks {
	struct lp_conntrack_detail sums;       /* without talkers and drain */
	uint64_t goes[LP_CT_DRAIN_POINTS + 1]; /* TIME_WAITs by tens of seconds left, then later */
	struct lp_tally *sources, *destinations;
	uint32_t ports[2][PORTS]; /* of TCP and UDP */
};

void lp_tracks_free(struct lp_tracks *tracks)
{
	if (!tracks)
		return;
	lp_tally_free(tracks->sources);
	lp_tally_free(tracks->destinations);
	free(tracks);
}

struct lp_tracks *lp_tracks_new(void)
{
	struct lp_tracks *tracks = calloc(1, sizeof(*tracks));
	if (!tracks)
		return NULL;
	tracks->sources = lp_tally_new();
	tracks->destinations = lp_tally_new();
	if (tracks->sources && tracks->destinations)
		return tracks;
	lp_tracks_free(tracks);
	return NULL;
}

static enum lp_conntrack_protocol protocol_of(const struct lp_conntrack_entry *entry)
{
	switch (entry->protocol) {
	case IPPROTO_TCP:
		return LP_CT_TCP;
	case IPPROTO_UDP:
		return LP_CT_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return LP_CT_ICMP;
	default:
		return LP_CT_OTHER;
	}
}

static void add_tcp(struct lp_tracks *tracks, const struct lp_conntrack_entry *entry)
{
	if (entry->state >= LP_CT_STATES)
		return;
	tracks->sums.states[entry->state]++;
	if (entry->state != LP_CT_TIME_WAIT)
		return;
	uint32_t step = entry->left_s / LP_CT_DRAIN_STEP_S;
	tracks->goes[step < LP_CT_DRAIN_POINTS ? step : LATER]++;
}

void lp_tracks_add(struct lp_tracks *tracks, const struct lp_conntrack_entry *entry)
{
	struct lp_conntrack_detail *sums = &tracks->sums;
	enum lp_conntrack_protocol protocol = protocol_of(entry);
	sums->entries++;
	sums->protocols[protocol]++;
	sums->assured += (entry->status & LP_CT_ASSURED) != 0;
	sums->unreplied += (entry->status & LP_CT_SEEN_REPLY) == 0;
	sums->translated += (entry->status & LP_CT_SRC_NAT) != 0;
	if (protocol == LP_CT_TCP)
		add_tcp(tracks, entry);
	if (protocol == LP_CT_TCP || protocol == LP_CT_UDP)
		tracks->ports[protocol][entry->original.to_port]++;
	int family = entry->family == AF_INET6 ? AF_INET6 : AF_INET;
	struct lp_address from = lp_address_make(family, entry->original.from, 0);
	struct lp_address to = lp_address_make(family, entry->original.to, 0);
	lp_tally_add(tracks->sources, &from);
	lp_tally_add(tracks->destinations, &to);
}

static void tell_addresses(struct lp_tally *tally, struct lp_conntrack_talkers *ret)
{
	struct lp_tally_item items[LP_CT_TALKERS];
	ret->n = lp_tally_top(tally, items, LP_CT_TALKERS);
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i] = (struct lp_conntrack_talker){
		        .address = items[i].address,
		        .entries = items[i].n,
		        .missed = items[i].missed,
		};
}

/* Keeps the list sorted, most entries first; the later of two equal ones comes behind. */
static void insert_port(struct lp_conntrack_talkers *ret, const struct lp_conntrack_talker *port)
{
	size_t at = ret->n;
	while (at > 0 && ret->items[at - 1].entries < port->entries)
		at--;
	if (at == LP_CT_TALKERS)
		return;
	size_t last = ret->n < LP_CT_TALKERS ? ret->n++ : LP_CT_TALKERS - 1;
	for (size_t i = last; i > at; i--)
		ret->items[i] = ret->items[i - 1];
	ret->items[at] = *port;
}

static void tell_ports(const struct lp_tracks *tracks, struct lp_conntrack_talkers *ret)
{
	ret->n = 0;
	for (int protocol = LP_CT_TCP; protocol <= LP_CT_UDP; protocol++) {
		for (uint32_t port = 0; port < PORTS; port++) {
			struct lp_conntrack_talker talker = {
			        .port = (uint16_t)port,
			        .protocol = (enum lp_conntrack_protocol)protocol,
			        .entries = tracks->ports[protocol][port],
			};
			if (talker.entries)
				insert_port(ret, &talker);
		}
	}
}

void lp_tracks_tell(struct lp_tracks *tracks, struct lp_conntrack_detail *ret)
{
	uint64_t gone = 0;
	*ret = tracks->sums;
	for (size_t i = 0; i < LP_CT_DRAIN_POINTS; i++)
		ret->drain[i] = gone += tracks->goes[i];
	tell_addresses(tracks->sources, &ret->sources);
	tell_addresses(tracks->destinations, &ret->destinations);
	tell_ports(tracks, &ret->ports);
}
