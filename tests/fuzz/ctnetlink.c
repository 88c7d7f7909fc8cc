/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Answers of ctnetlink: entries and counters. An input is the datagrams of one answer, each with
 * its length in two bytes before it.
 */

#include <stdlib.h>
#include <string.h>

#include "kernel/conntrack_dump.h"
#include "kernel/conntrack_stats.h"
#include "snapshot/tracks.h"
#include "text.h"

struct sums {
	struct lp_tracks *tracks;
	struct lp_conntrack_counters counters;
	size_t decoded;
};

static int take(const struct nlmsghdr *header, void *context, struct lp_netlink_result *result)
{
	struct sums *sums = context;
	struct lp_conntrack_entry entry;
	if (lp_conntrack_decode(header, &entry, result)) {
		lp_tracks_add(sums->tracks, &entry);
		sums->decoded++;
	}
	return lp_conntrack_stats_take(header, &sums->counters, result);
}

/* A copy of its own, so that a read past the end is seen. */
static int parse(const uint8_t *data, size_t size, struct sums *sums)
{
	char *datagram = malloc(size ? size : 1);
	must_hold(datagram);
	memcpy(datagram, data, size);
	struct lp_netlink_result result = {0};
	int r = lp_netlink_parse(datagram, size, 1, take, sums, &result);
	free(datagram);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sums sums = {.tracks = lp_tracks_new()};
	struct lp_conntrack_detail detail;
	must_hold(sums.tracks);
	while (size >= 2) {
		size_t length = (size_t)(data[0] | data[1] << 8);
		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		if (parse(data, length, &sums) != 0)
			break;
		data += length;
		size -= length;
	}
	lp_tracks_tell(sums.tracks, &detail);
	must_hold(detail.entries == sums.decoded && detail.assured <= detail.entries);
	lp_tracks_free(sums.tracks);
	return 0;
}
