/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/diag.h"
#include "kernel/reading.h"
#include "snapshot/pools.h"

enum {
	TRIES = 3, /* of a dump that was interrupted or lost something */
	CONNECTIONS = (1 << LP_STATES) - 2 - (1 << LP_LISTEN) - (1 << LP_CLOSE),
};

static struct lp_address address_of(const struct lp_diag_message *m, const uint8_t *bytes)
{
	return lp_address_make(m->family, bytes, m->ifindex);
}

static int take_listener(const struct lp_diag_message *m, void *context)
{
	struct lp_reading *reading = context;
	struct lp_listener listener = {
	        .address = address_of(m, m->local),
	        .inode = m->inode,
	        .uid = m->uid,
	        .waiting = m->rqueue,
	        .backlog = m->wqueue,
	        .port = m->local_port,
	        .v6only = m->v6only == 1,
	};
	return m->state == LP_LISTEN ? lp_sockets_listener(reading->sockets, &listener) : 0;
}

static int take_bound(const struct lp_diag_message *m, void *context)
{
	struct lp_reading *reading = context;
	struct lp_address address = address_of(m, m->local);
	if (m->state != LP_CLOSE || !m->local_port)
		return 0;
	return lp_sockets_bound(reading->sockets, &address, m->local_port, m->v6only == 1);
}

static int take_connection(const struct lp_diag_message *m, void *context)
{
	struct lp_reading *reading = context;
	if (m->state == 0 || m->state >= LP_STATES || m->state == LP_LISTEN)
		return 0;
	struct lp_socket socket = {
	        .local = address_of(m, m->local),
	        .remote = address_of(m, m->remote),
	        .local_port = m->local_port,
	        .remote_port = m->remote_port,
	        .state = m->state,
	        .cookie = m->cookie,
	        .inode = m->inode,
	        .left_ms = m->expires_ms < LP_TIME_WAIT_S * 1000 ? m->expires_ms
	                                                         : LP_TIME_WAIT_S * 1000,
	};
	lp_sockets_add(reading->sockets, &socket);
	return 0;
}

/* One kind of socket to ask for: what, how to start again, what to do with each. */
struct walk {
	const char *what;
	uint32_t states;
	void (*begin)(struct lp_sockets *sockets);
	lp_diag_function take;
};

static int open_diag(const struct lp_sockets_options *options)
{
	return options->open ? options->open(options->context) : lp_diag_open();
}

static bool torn(const struct lp_netlink_result *result)
{
	return result->interrupted || result->lost || result->truncated;
}

static const char *why_torn(const struct lp_netlink_result *result)
{
	if (result->lost)
		return "the kernel dropped parts of its answer (ENOBUFS)";
	if (result->truncated)
		return "a message of the kernel was cut off";
	return "the table changed during the dump (NLM_F_DUMP_INTR)";
}

static int walk_once(struct lp_reading *reading, const struct walk *walk,
                     struct lp_netlink_result *result)
{
	_cleanup_(lp_close_fd) int fd = open_diag(reading->options);
	if (fd < 0)
		return fd;
	return lp_diag_dump(fd, walk->states, ++reading->sequence, walk->take, reading, result);
}

/* Asks until an answer comes whole, TRIES times. What stays missing is a gap. 0 or -ENOMEM. */
static int walk_whole(struct lp_reading *reading, const struct walk *walk)
{
	struct lp_snapshot *snapshot = reading->snapshot;
	uint64_t inode = reading->netns->inode;
	struct lp_netlink_result result = {0};
	int r = 0;
	for (int try = 0; try < TRIES; try++) {
		result = (struct lp_netlink_result){0};
		walk->begin(reading->sockets);
		r = walk_once(reading, walk, &result);
		if (r == -ENOMEM || (r == 0 && !torn(&result)))
			return r;
		if (r == -ENOENT || r == -EPERM || r == -EACCES || r == -EPROTONOSUPPORT)
			break; /* asking again would not help */
	}
	if (torn(&result)) {
		reading->torn = true;
		return lp_snapshot_gap(snapshot, "sockets", inode, "%s: %s, %d times", walk->what,
		                       why_torn(&result), TRIES);
	}
	reading->failed = true;
	if (r == -ENOENT || r == -EPROTONOSUPPORT)
		return lp_snapshot_gap(snapshot, "sockets", inode,
		                       "%s: this kernel has no sock_diag for TCP", walk->what);
	return lp_snapshot_gap(snapshot, "sockets", inode, "%s: sock_diag: %s", walk->what,
	                       strerror(-r));
}

static const struct walk listeners = {"listeners", 1 << LP_LISTEN, lp_sockets_forget_held,
                                      take_listener};
static const struct walk bound = {"bound sockets", 1 << LP_DIAG_BOUND_BIT, lp_sockets_forget_bound,
                                  take_bound};
static const struct walk connections = {"connections", CONNECTIONS, lp_sockets_begin,
                                        take_connection};

bool lp_reading_has_connections(const struct lp_reading *reading)
{
	const struct lp_netns *netns = reading->netns;
	struct lp_figure in_use = lp_netns_in_use(netns);
	if (!in_use.known || !netns->time_wait.known)
		return true;
	/* requests are not in sockstat, but where no segment ever came there are none */
	bool untouched = netns->tcp_counters.in_segs.known && !netns->tcp_counters.in_segs.n;
	return in_use.n + netns->time_wait.n > netns->n_listeners ||
	       (netns->n_listeners && !untouched);
}

static int tell_what_is_left_out(struct lp_snapshot *snapshot, const struct lp_netns *netns,
                                 const struct lp_sockets *sockets)
{
	size_t binds = lp_sockets_binds_left_out(sockets);
	uint32_t bound_of_dropped = lp_sockets_dropped_bound(sockets);
	int r = 0;
	if (binds)
		r = lp_snapshot_gap(snapshot, "bind-ports", netns->inode,
		                    "more local addresses than are kept apart");
	if (r == 0 && bound_of_dropped > lp_netns_range_ports(netns) / 100)
		r = lp_snapshot_gap(snapshot, "sockets", netns->inode,
		                    "%" PRIu64 " pools of up to %" PRIu32
		                    " connections are summed, not listed",
		                    netns->summed_pools, bound_of_dropped);
	return r;
}

static int read_connections(struct lp_reading *reading)
{
	if (!lp_reading_has_connections(reading)) {
		lp_sockets_begin(reading->sockets);
		return 0;
	}
	int r = walk_whole(reading, &connections);
	if (r == 0 && lp_sockets_recount(reading->sockets))
		r = walk_whole(reading, &connections);
	return r;
}

int lp_reading_begin(struct lp_reading *reading, struct lp_snapshot *snapshot,
                     struct lp_netns *netns, const struct lp_port_map *reserved,
                     const struct lp_sockets_options *options)
{
	*reading = (struct lp_reading){.snapshot = snapshot, .netns = netns, .options = options};
	int r = lp_sockets_new(netns, reserved, &reading->sockets);
	if (r == 0 && options->sightings)
		lp_sockets_sight(reading->sockets, options->sightings,
		                 (size_t)(netns - snapshot->netns));
	if (r == 0)
		r = walk_whole(reading, &listeners);
	if (r == 0 && options->bound)
		r = walk_whole(reading, &bound);
	return r;
}

int lp_reading_end(struct lp_reading *reading)
{
	struct lp_netns *netns = reading->netns;
	int r = lp_sockets_finish(reading->sockets);
	netns->sockets_torn = reading->torn;
	netns->sockets_read = !reading->failed;
	if (r == 0)
		r = tell_what_is_left_out(reading->snapshot, netns, reading->sockets);
	return r;
}

int lp_sockets_read(struct lp_snapshot *snapshot, struct lp_netns *netns,
                    const struct lp_port_map *reserved, const struct lp_sockets_options *options)
{
	_cleanup_(lp_reading_done) struct lp_reading reading = {0};
	int r = lp_reading_begin(&reading, snapshot, netns, reserved, options);
	if (r == 0)
		r = read_connections(&reading);
	return r < 0 ? r : lp_reading_end(&reading);
}
