/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_conntrack.h"

#include <errno.h>

#if HAVE_BPF

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bpf/conntrack.h"
#include "kernel/bpf_call.h"
#include "kernel/bpf_reader.h"
#include "kernel/ctnetlink.h"

#include "bpf/conntrack.skel.h"

struct reader {
	struct conntrack *programs;
	struct lp_track_out *out; /* mapped */
	uint32_t buckets;
	uint32_t hz;
	uint64_t table, net;
};

static void reader_done(struct reader *reader)
{
	if (reader->out)
		(void)munmap(reader->out, sizeof(*reader->out));
	if (reader->programs)
		conntrack__destroy(reader->programs);
}

static int load(struct reader *reader)
{
	reader->programs = conntrack__open();
	if (!reader->programs)
		return -ENOMEM;
	int r = conntrack__load(reader->programs);
	if (r < 0)
		return r;
	void *out = mmap(NULL, sizeof(*reader->out), PROT_READ | PROT_WRITE, MAP_SHARED,
	                 reader->programs->maps.tracked.map_fd, 0);
	if (out == MAP_FAILED)
		return lp_errno();
	reader->out = out;
	return 0;
}

/* ---- an entry that is there ---------------------------------------------------------------- */

/* A few of those that a dump begins with: one or the other may go away meanwhile. */
struct known {
	struct lp_conntrack_entry items[16];
	size_t n;
};

enum { ENOUGH = 1 };

static int keep(const struct nlmsghdr *header, void *context, struct lp_netlink_result *result)
{
	struct known *known = context;
	struct lp_conntrack_entry entry;
	if (!lp_conntrack_decode(header, &entry, result) || entry.zoned ||
	    (entry.protocol != IPPROTO_TCP && entry.protocol != IPPROTO_UDP))
		return 0;
	known->items[known->n++] = entry;
	return known->n < sizeof(known->items) / sizeof(known->items[0]) ? 0 : ENOUGH;
}

static int find_known(struct known *known)
{
	struct lp_netlink_result result;
	_cleanup_(lp_close_fd) int fd = lp_ctnetlink_open();
	if (fd < 0)
		return fd;
	int r = lp_conntrack_ask(fd, &(struct lp_conntrack_filter){0}, 1, keep, known, &result);
	if (r < 0)
		return r;
	return known->n ? 0 : -ENOENT;
}

/* ---- where the table is -------------------------------------------------------------------- */

/* The program looks the entry up and tells what points at it. */
static int find(struct reader *reader, const struct lp_conntrack_entry *entry)
{
	enum { PACKET = 64 }; /* an empty packet: programs of this kind are run on one */
	char packet[PACKET] = {0};
	union bpf_attr attr;
	struct lp_track_find *find = &reader->out->find;
	*find = (struct lp_track_find){.from_port = htons(entry->original.from_port),
	                               .to_port = htons(entry->original.to_port),
	                               .family = entry->family,
	                               .protocol = entry->protocol,
	                               .error = -ENOENT};
	memcpy(find->from, entry->original.from, sizeof(find->from));
	memcpy(find->to, entry->original.to, sizeof(find->to));
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)reader->programs->progs.lp_track_find.prog_fd;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	int r = lp_bpf(BPF_PROG_RUN, &attr);
	return r < 0 ? r : find->error;
}

static int walk(struct reader *reader, struct lp_track_walk *walk)
{
	int r = lp_bpf_run(reader->programs->progs.lp_track_walk.prog_fd, walk, sizeof(*walk));
	bool sane = walk->buckets && walk->records <= LP_TRACK_ROOM;
	return r == 0 && !sane ? -ENOTSUP : r;
}

/* Whether chains end with the marks of the buckets that they would be at this place. */
static bool is_table(struct reader *reader, uint64_t table)
{
	enum { SOME = 64 };
	struct lp_track_walk some = {.table = table, .net = reader->net, .buckets = SOME};
	return walk(reader, &some) == 0 && !some.torn;
}

static int find_table(struct reader *reader)
{
	enum { PAGE = 4096, POINTER = 8 };
	const struct lp_track_find *find = &reader->out->find;
	uint64_t before = (uint64_t)find->bucket * POINTER;
	if (find->bucket >= reader->buckets)
		return -ENOTSUP;
	reader->net = find->net;
	reader->hz = lp_hz_since_boot(find->jiffies, find->now_ns);
	for (size_t i = 0; i < LP_TRACK_BACK && reader->hz; i++) {
		reader->table = find->back[i] - before;
		if (reader->table % PAGE == 0 && is_table(reader, reader->table))
			return 0;
	}
	return -ENOTSUP;
}

static int locate(struct reader *reader)
{
	struct known known = {0};
	int r = find_known(&known);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < known.n && r < 0; i++) {
		r = find(reader, &known.items[i]);
		if (r == 0)
			r = find_table(reader);
	}
	return r;
}

/* ---- entries ------------------------------------------------------------------------------- */

static void take_tuple(struct lp_conntrack_tuple *tuple, const uint8_t from[16],
                       const uint8_t to[16], uint16_t from_port, uint16_t to_port)
{
	memcpy(tuple->from, from, sizeof(tuple->from));
	memcpy(tuple->to, to, sizeof(tuple->to));
	tuple->from_port = ntohs(from_port);
	tuple->to_port = ntohs(to_port);
}

/* Only these have ports in a tuple; ICMP has other things there. */
static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

static void take(const struct reader *reader, const struct lp_track_record *record,
                 lp_conntrack_function function, void *context)
{
	bool ports = has_ports(record->protocol);
	struct lp_conntrack_entry entry = {
	        .status = record->status,
	        .left_s = (uint32_t)record->left / reader->hz,
	        .family = record->family,
	        .protocol = record->protocol,
	        .state = record->state,
	};
	if (record->family != AF_INET && record->family != AF_INET6)
		return;
	take_tuple(&entry.original, record->from, record->to, ports ? record->from_port : 0,
	           ports ? record->to_port : 0);
	take_tuple(&entry.reply, record->reply_from, record->reply_to,
	           ports ? record->reply_from_port : 0, ports ? record->reply_to_port : 0);
	function(&entry, context);
}

static int read_table(struct reader *reader, lp_conntrack_function function, void *context)
{
	bool torn = false;
	for (uint32_t from = 0; from < reader->buckets;) {
		struct lp_track_walk part = {.table = reader->table,
		                             .net = reader->net,
		                             .from = from,
		                             .buckets = reader->buckets - from};
		int r = walk(reader, &part);
		if (r < 0)
			return from ? -EAGAIN : r;
		for (uint32_t i = 0; i < part.records; i++)
			take(reader, &reader->out->records[i], function, context);
		torn |= part.torn != 0;
		from += part.buckets;
	}
	return torn ? -EAGAIN : 0;
}

int lp_bpf_conntrack_read(uint32_t buckets, lp_conntrack_function function, void *context)
{
	_cleanup_(reader_done) struct reader reader = {.buckets = buckets};
	int r = load(&reader);
	if (r == 0)
		r = locate(&reader);
	return r < 0 ? r : read_table(&reader, function, context);
}

#else

int lp_bpf_conntrack_read(uint32_t buckets, lp_conntrack_function function, void *context)
{
	(void)buckets;
	(void)function;
	(void)context;
	return -EOPNOTSUPP;
}

#endif
