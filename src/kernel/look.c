/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One look at the whole machine. Entering a namespace changes the calling thread for good, so it
 * is done in a thread of its own: the caller's never moves.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/conntrack.h"
#include "kernel/kernel.h"
#include "kernel/kmsg.h"
#include "kernel/look_bpf.h"
#include "kernel/netstat.h"
#include "kernel/owners.h"
#include "kernel/sysctl_conf.h"

/* A namespace of the snapshot while it is looked at. */
struct stop {
	const struct lp_netns_place *place; /* NULL: known to programs alone */
};

struct look {
	const struct lp_kernel *kernel;
	const struct lp_look_options *options;
	struct lp_error *err;
	struct lp_snapshot *snapshot;
	struct lp_netns_list places;
	struct stop *stops; /* of each snapshot->netns */
	int own;            /* the namespace that the caller is in, to come back to */
	bool away;          /* the thread is in another one */
	bool machine_read;
	unsigned searches; /* for namespaces whose ways were gone */
	bool partial;      /* some namespaces were not read, so their sockets can't be subtracted */
	/* sockstat's machine-wide `alloc`: what the namespaces' texts said least and most */
	uint64_t allocated_low, allocated_high;
	struct lp_look_bpf bpf;
	int result;
};

static void look_done(struct look *look)
{
	free(look->stops);
	lp_netns_list_done(&look->places);
	lp_close_fd(&look->own);
	lp_look_bpf_done(&look->bpf);
}

/* -ENOENT: it is gone; -EAGAIN: it is there, and nothing led to it for long enough. */
static int open_place(struct look *look, const struct lp_netns_place *place)
{
	enum { MOST_SEARCHES = 16 };
	int fd = lp_netns_place_open(look->kernel, place);
	if (fd == -ENOENT)
		fd = -EAGAIN;
	while (fd == -EAGAIN && look->searches++ < MOST_SEARCHES)
		fd = lp_netns_place_search(look->kernel, place);
	return fd;
}

/* Moves the calling thread. 0, or a negative errno. */
static int enter(struct look *look, const struct lp_netns_place *place)
{
	if (place->own) {
		if (look->away && setns(look->own, CLONE_NEWNET) < 0)
			return lp_errno();
		look->away = false;
		return 0;
	}
	_cleanup_(lp_close_fd) int fd = open_place(look, place);
	if (fd < 0)
		return fd;
	if (setns(fd, CLONE_NEWNET) < 0)
		return lp_errno();
	look->away = true;
	return 0;
}

static int tell_not_entered(struct look *look, const struct lp_netns_place *place, int error)
{
	if (error == -ENOENT || error == -ESRCH)
		return 0; /* it went away meanwhile */
	look->partial = true;
	return lp_snapshot_gap(look->snapshot, "namespaces", place->inode, "not entered: %s",
	                       error == -EAGAIN ? "what led there went away" : strerror(-error));
}

static int name_it(const struct look *look, const struct lp_netns_place *place,
                   struct lp_netns *netns)
{
	const char *name = place->name;
	if (!name && !look->places.host_known && netns->initial)
		name = "host";
	netns->name = name ? strdup(name) : NULL;
	return name && !netns->name ? -ENOMEM : 0;
}

static bool is_wanted(const struct look *look, size_t index)
{
	const char *wanted = look->options->netns;
	const struct lp_netns *netns = &look->snapshot->netns[index];
	if (!wanted || !strcmp(wanted, "all"))
		return true;
	if (!strcmp(wanted, "self"))
		return netns->own;
	if (netns->name && !strcmp(netns->name, wanted))
		return true;
	char inode[24];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, netns->inode);
	return !strcmp(inode, wanted);
}

/* Sysctls into the namespace; the reserved ports are kept only where there are any. */
static int read_sysctls(struct look *look, struct lp_netns *netns)
{
	struct lp_port_map reserved = {0};
	int r = lp_sysctl_read(look->kernel, look->snapshot, netns, &reserved);
	if (r < 0 || !lp_port_count(&reserved, 0, LP_PORTS - 1))
		return r;
	netns->reserved_ports = malloc(sizeof(reserved));
	if (!netns->reserved_ports)
		return -ENOMEM;
	*netns->reserved_ports = reserved;
	return 0;
}

static void note_allocated(struct look *look)
{
	struct lp_figure allocated = look->snapshot->machine.tcp_allocated;
	if (!allocated.known)
		return;
	if (!look->allocated_low || allocated.n < look->allocated_low)
		look->allocated_low = allocated.n;
	if (allocated.n > look->allocated_high)
		look->allocated_high = allocated.n;
}

/*
 * Sysctls and sockstat of the namespace that the thread is in; of one that was not asked for, only
 * what is subtracted from the machine's or shared with it.
 */
static int read_settings(struct look *look, const struct lp_netns_place *place)
{
	struct lp_netns *netns = lp_snapshot_add_netns(look->snapshot);
	if (!netns)
		return -ENOMEM;
	struct stop *stop = &look->stops[look->snapshot->n_netns - 1];
	stop->place = place;
	netns->inode = place->inode;
	netns->device = place->device;
	netns->cookie = lp_netns_cookie();
	netns->pid = place->pid;
	netns->own = place->own;
	lp_sysctl_kind(look->kernel, netns);
	int r = name_it(look, place, netns);
	if (r == 0)
		r = is_wanted(look, look->snapshot->n_netns - 1)
		            ? read_sysctls(look, netns)
		            : lp_sysctl_entries(look->kernel, look->snapshot, netns);
	if (r == 0)
		r = lp_sockstat_read(look->kernel, look->snapshot, netns);
	note_allocated(look);
	if (r == 0 && netns->initial && !look->machine_read) {
		look->machine_read = true;
		r = lp_machine_read(look->kernel, look->snapshot);
	}
	return r;
}

/*
 * Once more, now that the tables of all are known: sockstat counts what is allocated first and what
 * is in the table then, and much can happen in between.
 */
static int read_allocated_again(struct look *look)
{
	struct lp_netns scratch = {0};
	if (!look->snapshot->machine.tcp_allocated.known)
		return 0;
	int r = lp_sockstat_read(look->kernel, look->snapshot, &scratch);
	note_allocated(look);
	return r;
}

static int read_all_settings(struct look *look)
{
	for (size_t i = 0; i < look->places.n; i++) {
		const struct lp_netns_place *place = &look->places.items[i];
		int r = enter(look, place);
		r = r < 0 ? tell_not_entered(look, place, r) : read_settings(look, place);
		if (r < 0)
			return r;
	}
	int r = look->machine_read ? 0 : lp_machine_read(look->kernel, look->snapshot);
	return r < 0 ? r : read_allocated_again(look);
}

/* What the search for namespaces left out, or "". */
static const char *not_searched(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (!strcmp(snapshot->gaps[i].what, "namespaces"))
			return snapshot->gaps[i].why;
	return "";
}

/* Drops the namespaces that were not asked for. */
static int select_wanted(struct look *look)
{
	struct lp_snapshot *snapshot = look->snapshot;
	size_t kept = 0;
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		if (is_wanted(look, i)) {
			snapshot->netns[kept] = snapshot->netns[i];
			look->stops[kept++] = look->stops[i];
			continue;
		}
		free(snapshot->netns[i].name);
		free(snapshot->netns[i].reserved_ports);
	}
	snapshot->n_netns = kept;
	if (kept)
		return 0;
	return lp_netns_none(look->kernel, look->options->netns, not_searched(snapshot), look->err);
}

/*
 * TCP sockets that are in no table of connections or listeners. Only among these can be bound ones
 * that are not connected, and asking for them walks the bind table: 165 ms at a million sockets.
 * The namespaces are read one after the other: where a socket went from one and another came in the
 * next, the sum of their tables is too high and proves nothing, though the machine's count stays.
 * So either one namespace has all, or there are so many that it pays to look twice:
 * tables_stayed().
 */
static bool may_be_bound(const struct look *look)
{
	const struct lp_snapshot *snapshot = look->snapshot;
	if (look->partial || !snapshot->privileged || !snapshot->machine.tcp_allocated.known)
		return true;
	enum { MANY = 100000 };
	uint64_t in_tables = 0, most = 0;
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_netns *netns = &snapshot->netns[i];
		if (!netns->in_use4.known || (netns->has_ipv6 && !netns->in_use6.known))
			return true;
		uint64_t here = lp_netns_in_use(netns).n;
		in_tables += here;
		most = here > most ? here : most;
	}
	return look->allocated_low != look->allocated_high || look->allocated_high > in_tables ||
	       (most < in_tables && in_tables < MANY);
}

/*
 * Whether every table still has as many sockets as when it was read first. As many came in one
 * namespace as went in another, and the machine's count alone would not tell.
 */
static bool tables_stayed(struct look *look)
{
	for (size_t i = 0; i < look->snapshot->n_netns; i++) {
		const struct lp_netns *netns = &look->snapshot->netns[i];
		struct lp_netns again = {.inode = netns->inode};
		if (enter(look, look->stops[i].place) < 0 ||
		    lp_sockstat_read(look->kernel, look->snapshot, &again) < 0)
			return false;
		note_allocated(look);
		if (lp_netns_in_use(&again).n != lp_netns_in_use(netns).n)
			return false;
	}
	return look->allocated_low == look->allocated_high;
}

/* inet_diag lists bound sockets since Linux 6.8 (91051f003948). */
static bool kernel_lists_bound(const struct lp_machine *machine)
{
	char *end;
	unsigned long major = strtoul(machine->kernel, &end, 10);
	unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return major > 6 || (major == 6 && minor >= 8);
}

static int choose_options(struct look *look, struct lp_sockets_options *ret)
{
	struct lp_owner_notes *notes = look->options->notes;
	*ret = (struct lp_sockets_options){.bound = may_be_bound(look) || !tables_stayed(look),
	                                   .sightings = notes ? &notes->sightings : NULL};
	if (!ret->bound || kernel_lists_bound(&look->snapshot->machine))
		return 0;
	ret->bound = false;
	return lp_snapshot_gap(look->snapshot, "sockets", 0,
	                       "bound sockets that are not connected: the kernel lists them since "
	                       "Linux 6.8");
}

/* Those that nothing leads to, where programs read. */
static int add_unentered(struct look *look)
{
	struct lp_snapshot *snapshot = look->snapshot;
	size_t known = snapshot->n_netns;
	if (!look->bpf.reader || !snapshot->privileged)
		return 0;
	int r = lp_look_unentered_list(&look->bpf, snapshot);
	struct stop *stops = r == 0 ? calloc(snapshot->n_netns, sizeof(*stops)) : NULL;
	if (!stops) {
		snapshot->n_netns = known;
		return -ENOMEM;
	}
	memcpy(stops, look->stops, known * sizeof(*stops));
	free(look->stops);
	look->stops = stops;
	for (size_t i = known; i < snapshot->n_netns; i++) {
		struct lp_netns *netns = &snapshot->netns[i];
		netns->reserved_ports = calloc(1, sizeof(*netns->reserved_ports));
		if (!netns->reserved_ports)
			return -ENOMEM;
		lp_look_unentered_reserved(&look->bpf, netns, netns->reserved_ports);
	}
	return 0;
}

/* conntrack's one hash table has the entries of every namespace, asked for or not. */
static void sum_conntrack(const struct look *look)
{
	const struct lp_snapshot *snapshot = look->snapshot;
	struct lp_machine *machine = &look->snapshot->machine;
	machine->conntrack_torn = look->partial || *not_searched(snapshot);
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct lp_figure *entries = &snapshot->netns[i].conntrack_entries;
		machine->conntrack_torn |= !look->stops[i].place;
		if (!entries->known)
			continue;
		machine->conntrack_entries = lp_figure(machine->conntrack_entries.n + entries->n);
		machine->conntrack_namespaces += entries->n > 0;
	}
}

static const struct lp_port_map *reserved_of(const struct look *look, size_t index)
{
	static const struct lp_port_map nothing_reserved;
	const struct lp_port_map *reserved = look->snapshot->netns[index].reserved_ports;
	return reserved ? reserved : &nothing_reserved;
}

/*
 * Whether a namespace has sockets of any kind besides those in its TCP tables: where it has none,
 * as in many a container, none can be bound, whatever goes on in the others.
 */
static bool has_others(const struct lp_netns *netns)
{
	struct lp_figure in_tables = lp_netns_in_use(netns);
	return !netns->sockets_used.known || !in_tables.known ||
	       netns->sockets_used.n > in_tables.n;
}

/* The sockets of the namespace that the thread is in. */
static int read_sockets(struct look *look, size_t index, const struct lp_sockets_options *options)
{
	struct lp_netns *netns = &look->snapshot->netns[index];
	struct lp_sockets_options those = *options;
	those.bound = options->bound && has_others(netns);
	int r = lp_conntrack_read(look->kernel, look->snapshot, netns,
	                          &(struct lp_conntrack_options){.read = look->options->conntrack,
	                                                         .reader = look->options->reader});
	if (r == 0)
		r = lp_netstat_read(look->kernel, look->snapshot, netns);
	if (r < 0)
		return r;
	if (look->bpf.reader)
		return lp_look_bpf_read(&look->bpf, look->snapshot, netns, reserved_of(look, index),
		                        &those);
	return lp_sockets_read(look->snapshot, netns, reserved_of(look, index), &those);
}

static int read_unentered(struct look *look, size_t index, const struct lp_sockets_options *options)
{
	return lp_look_unentered_read(&look->bpf, look->snapshot, &look->snapshot->netns[index],
	                              reserved_of(look, index), options->sightings);
}

static int read_all_sockets(struct look *look, const struct lp_sockets_options *options)
{
	for (size_t i = 0; i < look->snapshot->n_netns; i++) {
		const struct lp_netns_place *place = look->stops[i].place;
		int r = place ? enter(look, place) : 0;
		if (r < 0)
			r = tell_not_entered(look, place, r);
		else
			r = place ? read_sockets(look, i, options)
			          : read_unentered(look, i, options);
		if (r < 0)
			return r;
	}
	return look->bpf.reader ? lp_look_bpf_end(&look->bpf) : 0;
}

static void *look_around(void *context)
{
	struct look *look = context;
	struct lp_sockets_options options;
	int r = read_all_settings(look);
	if (r == 0)
		r = choose_options(look, &options);
	if (r == 0)
		r = lp_look_bpf_choose(&look->bpf, look->options, look->snapshot);
	if (r == 0)
		r = add_unentered(look);
	if (r == 0) {
		sum_conntrack(look);
		r = select_wanted(look);
	}
	if (r == 0)
		r = read_all_sockets(look, &options);
	look->result = r;
	return NULL;
}

static int look_in_thread(struct look *look)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, look_around, look);
	if (error)
		return lp_fail(look->err, error, "no thread to look around in: %s",
		               strerror(error));
	/* a record of the log costs a third of a microsecond, and the caller's thread has time */
	if (look->options->log)
		lp_kmsg_read(look->kernel, &look->snapshot->log);
	(void)pthread_join(thread, NULL);
	return look->result;
}

static int list_places(struct look *look)
{
	if (look->options->notes)
		look->places.sockets = &look->options->notes->sockets;
	int r = lp_netns_list_read(look->kernel, look->snapshot, &look->places);
	if (r < 0)
		return r;
	look->own = openat(look->kernel->proc, "thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	look->stops = calloc(look->places.n, sizeof(*look->stops));
	return look->stops ? 0 : -ENOMEM;
}

int lp_look(const struct lp_kernel *kernel, const struct lp_look_options *options,
            struct lp_snapshot **ret, struct lp_error *err)
{
	int64_t begin = lp_clock_ns();
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	if (!snapshot)
		return lp_fail(err, ENOMEM, "out of memory");
	_cleanup_(look_done) struct look look = {
	        .kernel = kernel, .options = options, .err = err, .snapshot = snapshot, .own = -1};
	if (options->notes)
		lp_owner_notes_begin(options->notes);
	snapshot->taken_at_ms = lp_clock_wall_ms();
	snapshot->reader = LP_READER_DIAG;
	lp_look_bpf_begin(&look.bpf, kernel, options);
	int r = list_places(&look);
	if (r == 0)
		r = lp_sysctl_conf_read(kernel, snapshot);
	if (r == 0)
		r = look_in_thread(&look);
	if (r == -ENOMEM)
		return lp_fail(err, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	snapshot->took_us = (lp_clock_ns() - begin) / 1000;
	*ret = lp_take_ptr(snapshot);
	return 0;
}
