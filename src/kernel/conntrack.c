/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/conntrack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/bpf_conntrack.h"
#include "kernel/conntrack_dump.h"
#include "kernel/conntrack_stats.h"
#include "kernel/ctnetlink.h"
#include "kernel/nat_rules.h"
#include "snapshot/tracks.h"

enum want { WANT_NOTHING, WANT_UNASSURED, WANT_IF_CHEAP, WANT_ALL };

/* In percent of the maximum. */
enum { FILLS = 50, NEARLY_FULL = 80, PERCENT = 100 };

/* So many entries are looked at where NAT has met ports in use: 30 ms. */
enum { NAT_ENTRIES = 20000 };

static bool nat_searches(const struct lp_conntrack_counters *counters)
{
	return counters->found.n || counters->insert_failed.n;
}

static enum want want(const struct lp_netns *netns, const struct lp_conntrack_options *options)
{
	uint64_t entries = netns->conntrack_entries.n, max = netns->conntrack_max.n;
	if (options->read != LP_CONNTRACK_AUTO)
		return options->read == LP_CONNTRACK_ALL ? WANT_ALL : WANT_NOTHING;
	bool searches = nat_searches(&netns->conntrack_counters);
	if (entries <= NAT_ENTRIES && searches)
		return WANT_ALL;
	if (!netns->conntrack_max.known || entries < max / PERCENT * FILLS)
		return searches ? WANT_IF_CHEAP : WANT_NOTHING;
	return entries < max / PERCENT * NEARLY_FULL ? WANT_UNASSURED : WANT_ALL;
}

/* One reading of entries, by either way. */
struct reading {
	struct lp_snapshot *snapshot;
	struct lp_netns *netns;
	enum want want;
	struct lp_tracks *tracks;
	struct lp_nats *nats;
	int result;
	bool failed; /* nothing was read, which is told */
	bool torn;   /* some entries are missing, or twice in it */
};

static void add(const struct lp_conntrack_entry *entry, void *context)
{
	struct reading *reading = context;
	lp_tracks_add(reading->tracks, entry);
	if (reading->want != WANT_UNASSURED && reading->result == 0)
		reading->result = lp_nats_add(reading->nats, entry);
}

static const char *why_torn(const struct lp_netlink_result *result)
{
	if (result->lost)
		return "answers were lost";
	return result->truncated ? "answers were cut off" : "it changed while it was read";
}

static int restart(struct reading *reading)
{
	lp_tracks_free(reading->tracks);
	lp_nats_free(reading->nats);
	reading->tracks = lp_tracks_new();
	reading->nats = lp_nats_new();
	return reading->tracks && reading->nats ? 0 : -ENOMEM;
}

static bool torn(const struct lp_netlink_result *result)
{
	return result->interrupted || result->lost || result->truncated;
}

static int dump_once(struct reading *reading, const struct lp_conntrack_filter *filter,
                     const struct lp_conntrack_options *options, uint32_t sequence,
                     struct lp_netlink_result *result)
{
	*result = (struct lp_netlink_result){0};
	_cleanup_(lp_close_fd) int fd =
	        options->open ? options->open(options->context) : lp_ctnetlink_open();
	if (fd < 0)
		return fd;
	int r = restart(reading);
	return r < 0 ? r : lp_conntrack_dump(fd, filter, sequence, add, reading, result);
}

/* A dump that was torn is asked again; what is torn each time stands, and is a gap. */
static int dump(struct reading *reading, const struct lp_conntrack_filter *filter,
                const struct lp_conntrack_options *options)
{
	enum { TRIES = 3 };
	struct lp_netlink_result result = {0};
	for (uint32_t try = 1; try <= TRIES; try++) {
		int r = dump_once(reading, filter, options, try, &result);
		if (r == -ENOMEM || !torn(&result))
			return r;
	}
	reading->torn = true;
	return lp_snapshot_gap(reading->snapshot, "conntrack", reading->netns->inode,
	                       "entries: %s, %d times", why_torn(&result), TRIES);
}

static int read_text(struct reading *reading, const struct lp_kernel *kernel,
                     const struct lp_conntrack_filter *filter)
{
	int r = restart(reading);
	return r < 0 ? r : lp_conntrack_read_text(kernel, filter, add, reading);
}

/* The pools of source NAT, each with the range of its rule. */
static int tell_nats(struct reading *reading)
{
	struct lp_netns *netns = reading->netns;
	struct lp_error err = {0};
	netns->n_nats = lp_nats_take(reading->nats, &netns->nats);
	if (!netns->n_nats)
		return 0;
	_cleanup_(lp_free_ptr) struct lp_nat_rules *rules = malloc(sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	int r = lp_nat_rules_read(rules, &err);
	for (size_t i = 0; i < netns->n_nats; i++)
		netns->nats[i].range = lp_nat_range_of(rules, &netns->nats[i]);
	return r < 0 ? lp_snapshot_gap(reading->snapshot, "nat-rules", netns->inode, "%s", err.text)
	             : 0;
}

/* Hands over what was read. */
static int tell(struct reading *reading)
{
	if (reading->result < 0)
		return reading->result;
	_cleanup_(lp_free_ptr) struct lp_conntrack_detail *detail = malloc(sizeof(*detail));
	if (!detail)
		return -ENOMEM;
	lp_tracks_tell(reading->tracks, detail);
	if (!reading->torn)
		reading->netns->conntrack_unassured = lp_figure(detail->entries - detail->assured);
	if (reading->want == WANT_UNASSURED)
		return 0;
	reading->netns->conntrack = lp_take_ptr(detail);
	return tell_nats(reading);
}

/* Whether reading in place makes good for loading the programs: 6 ms. */
static bool is_worth_loading(const struct lp_netns *netns,
                             const struct lp_conntrack_options *options)
{
	enum { ENTRIES_WORTH = 10000 };
	if (options->open || options->reader == LP_READ_DIAG || !netns->conntrack_buckets.known)
		return false;
	return options->reader == LP_READ_BPF || netns->conntrack_entries.n >= ENTRIES_WORTH;
}

/* By programs in the kernel. What changed under them is read again; else whatever they answer. */
static int read_in_place(struct reading *reading)
{
	enum { TRIES = 3 };
	int r = -EAGAIN;
	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		r = restart(reading);
		if (r == 0)
			r = lp_bpf_conntrack_read((uint32_t)reading->netns->conntrack_buckets.n,
			                          add, reading);
	}
	return r;
}

static int read_by_messages(struct reading *reading, const struct lp_kernel *kernel,
                            const struct lp_conntrack_options *options)
{
	struct lp_conntrack_filter filter = {0};
	if (reading->want == WANT_UNASSURED)
		filter.mask = LP_CT_ASSURED;
	int asked = dump(reading, &filter, options);
	if (asked == 0 || asked == -ENOMEM)
		return asked;
	int r = read_text(reading, kernel, &filter);
	if (r == 0 || r == -ENOMEM)
		return r;
	reading->failed = true;
	return lp_snapshot_gap(reading->snapshot, "conntrack", reading->netns->inode,
	                       "entries: ctnetlink: %s; /proc/net/nf_conntrack: %s",
	                       strerror(-asked), strerror(-r));
}

static int read_entries(struct reading *reading, const struct lp_kernel *kernel,
                        const struct lp_conntrack_options *options)
{
	int r = -EOPNOTSUPP;
	if (reading->want != WANT_UNASSURED && is_worth_loading(reading->netns, options))
		r = read_in_place(reading);
	if (r < 0 && reading->want == WANT_IF_CHEAP)
		return 0;
	if (r < 0 && r != -ENOMEM)
		r = read_by_messages(reading, kernel, options);
	return r < 0 || reading->failed ? r : tell(reading);
}

int lp_conntrack_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                      struct lp_netns *netns, const struct lp_conntrack_options *options)
{
	if (!netns->conntrack_entries.known || !netns->conntrack_entries.n)
		return 0;
	int r = lp_conntrack_stats_read(kernel, snapshot, netns);
	struct reading reading = {
	        .snapshot = snapshot, .netns = netns, .want = want(netns, options)};
	if (r == 0 && reading.want != WANT_NOTHING)
		r = read_entries(&reading, kernel, options);
	lp_tracks_free(reading.tracks);
	lp_nats_free(reading.nats);
	return r;
}
