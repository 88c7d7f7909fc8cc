/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Entries of connection tracking from messages and lines: whole, torn, interrupted; their sums. */

#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/conntrack_dump.h"
#include "limit/eviction.h"
#include "snapshot/tally.h"
#include "snapshot/tracks.h"
#include "unit.h"

/* ---- messages ------------------------------------------------------------------------------ */

struct answer {
	_Alignas(8) char bytes[4096];
	size_t size;
};

static void put_tuple(struct nlmsghdr *header, uint16_t type, const struct lp_address *from,
                      const struct lp_address *to, uint16_t from_port, uint16_t to_port)
{
	bool four = from->family == AF_INET;
	struct nlattr *tuple = mnl_attr_nest_start(header, type);
	struct nlattr *ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
	mnl_attr_put(header, four ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, four ? 4 : 16, from->bytes);
	mnl_attr_put(header, four ? CTA_IP_V4_DST : CTA_IP_V6_DST, four ? 4 : 16, to->bytes);
	mnl_attr_nest_end(header, ip);
	struct nlattr *protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(header, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(from_port));
	mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(to_port));
	mnl_attr_nest_end(header, protocol);
	mnl_attr_nest_end(header, tuple);
}

static struct nlmsghdr *begin(struct answer *a, uint16_t type, uint32_t sequence)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(a->bytes + a->size);
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_MULTI;
	header->nlmsg_seq = sequence;
	return header;
}

/* A TCP entry whose source is translated to the port above its own. */
static struct nlmsghdr *put_entry(struct answer *a, const char *from, const char *to, uint8_t state,
                                  uint32_t status, uint32_t sequence)
{
	struct lp_address f = unit_address(from), t = unit_address(to);
	struct nlmsghdr *header =
	        begin(a, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, sequence);
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->nfgen_family = (uint8_t)f.family;
	put_tuple(header, CTA_TUPLE_ORIG, &f, &t, 4000, 80);
	put_tuple(header, CTA_TUPLE_REPLY, &t, &f, 80, 4001);
	mnl_attr_put_u32(header, CTA_STATUS, htonl(status));
	mnl_attr_put_u32(header, CTA_TIMEOUT, htonl(33));
	struct nlattr *information = mnl_attr_nest_start(header, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(header, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(header, CTA_PROTOINFO_TCP_STATE, state);
	mnl_attr_nest_end(header, tcp);
	mnl_attr_nest_end(header, information);
	a->size += header->nlmsg_len;
	return header;
}

static void put_done(struct answer *a, uint32_t sequence)
{
	struct nlmsghdr *header = begin(a, NLMSG_DONE, sequence);
	*(int *)mnl_nlmsg_put_extra_header(header, sizeof(int)) = 0;
	a->size += header->nlmsg_len;
}

static void check_entry(const char *from, const char *to)
{
	struct answer a = {0};
	struct lp_netlink_result result = {0};
	struct lp_conntrack_entry entry;
	const struct nlmsghdr *header =
	        put_entry(&a, from, to, LP_CT_TIME_WAIT, LP_CT_ASSURED | LP_CT_SRC_NAT, 1);
	struct lp_address f = unit_address(from), t = unit_address(to);
	assert_true(lp_conntrack_decode(header, &entry, &result));
	assert_false(result.truncated);
	assert_int_equal(entry.family, f.family);
	assert_int_equal(entry.protocol, IPPROTO_TCP);
	assert_int_equal(entry.state, LP_CT_TIME_WAIT);
	assert_int_equal(entry.status, LP_CT_ASSURED | LP_CT_SRC_NAT);
	assert_int_equal(entry.left_s, 33);
	assert_memory_equal(entry.original.from, f.bytes, 16);
	assert_memory_equal(entry.original.to, t.bytes, 16);
	assert_memory_equal(entry.reply.from, t.bytes, 16);
	assert_memory_equal(entry.reply.to, f.bytes, 16);
	assert_int_equal(entry.original.from_port, 4000);
	assert_int_equal(entry.original.to_port, 80);
	assert_int_equal(entry.reply.from_port, 80);
	assert_int_equal(entry.reply.to_port, 4001);
}

static void an_entry_is_decoded_whole(void **state)
{
	(void)state;
	check_entry("10.0.0.1", "10.0.0.2");
	check_entry("2001:db8::1", "2001:db8::2");
}

/* A message cut anywhere is an entry without what comes last, or none and said to be cut. */
static void any_cut_is_noticed(void **state)
{
	(void)state;
	for (uint32_t length = NLMSG_HDRLEN;; length++) {
		struct answer a = {0};
		struct lp_netlink_result result = {0};
		struct lp_conntrack_entry entry;
		struct nlmsghdr *header = put_entry(&a, "10.0.0.1", "10.0.0.2", 3, 0, 1);
		if (length > header->nlmsg_len)
			break;
		header->nlmsg_len = length;
		char *copy = malloc(length);
		memcpy(copy, header, length);
		bool decoded = lp_conntrack_decode((void *)copy, &entry, &result);
		assert_true(decoded != result.truncated);
		if (decoded)
			assert_int_equal(entry.reply.to_port, 4001);
		free(copy);
	}
}

/* ---- dumps --------------------------------------------------------------------------------- */

enum { STEPS = 4 };

/* What the n-th dump that is asked for answers. */
struct script {
	struct answer answers[STEPS];
	int opened, n;
};

static int play(void *context)
{
	struct script *script = context;
	int pair[2];
	if (script->opened == script->n)
		return -EPERM;
	const struct answer *a = &script->answers[script->opened++];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[1], a->bytes, a->size, 0), (ssize_t)a->size);
	/* the other end stays open, so that the request can be sent */
	return pair[0];
}

static struct answer *step(struct script *script)
{
	return &script->answers[script->n++];
}

static struct lp_snapshot *read_script(struct script *script)
{
	struct lp_snapshot *snapshot = lp_snapshot_new();
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	struct lp_kernel nothing = LP_KERNEL_NONE;
	struct lp_conntrack_options options = {
	        .read = LP_CONNTRACK_ALL, .open = play, .context = script};
	netns->inode = 42;
	netns->conntrack_entries = lp_figure(2);
	assert_int_equal(lp_conntrack_read(&nothing, snapshot, netns, &options), 0);
	return snapshot;
}

/* The gap about entries, or NULL; that about counters is the running kernel's. */
static const char *gap_of(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (!strncmp(snapshot->gaps[i].why, "entries: ", 9)) {
			assert_string_equal(snapshot->gaps[i].what, "conntrack");
			assert_int_equal(snapshot->gaps[i].netns, 42);
			return snapshot->gaps[i].why;
		}
	return NULL;
}

static void put_whole(struct answer *a, uint32_t sequence)
{
	put_entry(a, "10.0.0.1", "10.0.0.2", 3, LP_CT_ASSURED, sequence);
	put_entry(a, "::1", "::2", 1, 0, sequence);
	put_done(a, sequence);
}

static void an_interrupted_dump_is_asked_again(void **state)
{
	(void)state;
	struct script script = {0};
	struct answer *torn = step(&script);
	put_entry(torn, "10.0.0.1", "10.0.0.2", 3, 0, 1)->nlmsg_flags |= NLM_F_DUMP_INTR;
	put_done(torn, 1);
	put_whole(step(&script), 2);
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(script.opened, 2);
	assert_null(gap_of(snapshot));
	assert_int_equal(snapshot->netns[0].conntrack->entries, 2);
	assert_int_equal(snapshot->netns[0].conntrack->assured, 1);
	assert_int_equal(snapshot->netns[0].conntrack_unassured.n, 1);
	lp_snapshot_free(snapshot);
}

static void what_stays_torn_is_told(void **state)
{
	(void)state;
	struct script script = {0};
	for (uint32_t try = 1; try <= 3; try++) {
		struct answer *torn = step(&script);
		put_entry(torn, "10.0.0.1", "10.0.0.2", 3, 0, try);
		begin(torn, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, try);
		torn->size += NLMSG_HDRLEN;
		put_done(torn, try);
	}
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(script.opened, 3);
	assert_non_null(gap_of(snapshot));
	assert_non_null(strstr(gap_of(snapshot), "cut off"));
	assert_int_equal(snapshot->netns[0].conntrack->entries, 1);
	/* what may be short of some tells no share of them */
	assert_false(snapshot->netns[0].conntrack_unassured.known);
	lp_snapshot_free(snapshot);
}

static void a_refusal_leaves_the_entries_absent(void **state)
{
	(void)state;
	struct script script = {0};
	struct lp_snapshot *snapshot = read_script(&script);
	assert_non_null(gap_of(snapshot));
	assert_non_null(strstr(gap_of(snapshot), "Operation not permitted"));
	assert_null(snapshot->netns[0].conntrack);
	assert_false(snapshot->netns[0].conntrack_unassured.known);
	lp_snapshot_free(snapshot);
}

/* ---- lines --------------------------------------------------------------------------------- */

static void lines_are_decoded(void **state)
{
	(void)state;
	struct lp_conntrack_entry entry;
	assert_int_equal(lp_conntrack_parse_line(
	                         "ipv4     2 tcp      6 86389 TIME_WAIT src=10.1.0.3 dst=10.9.1.2 "
	                         "sport=20408 dport=443 src=10.9.1.2 dst=10.2.0.1 sport=443 "
	                         "dport=2000 [ASSURED] mark=0 zone=0 use=2",
	                         &entry),
	                 0);
	struct lp_address from = unit_address("10.1.0.3"), outside = unit_address("10.2.0.1");
	assert_int_equal(entry.family, AF_INET);
	assert_int_equal(entry.protocol, IPPROTO_TCP);
	assert_int_equal(entry.state, LP_CT_TIME_WAIT);
	assert_int_equal(entry.left_s, 86389);
	assert_memory_equal(entry.original.from, from.bytes, 16);
	assert_memory_equal(entry.reply.to, outside.bytes, 16);
	assert_int_equal(entry.original.from_port, 20408);
	assert_int_equal(entry.reply.to_port, 2000);
	assert_int_equal(entry.status, LP_CT_SEEN_REPLY | LP_CT_ASSURED | LP_CT_SRC_NAT);

	assert_int_equal(
	        lp_conntrack_parse_line("ipv6     10 udp      17 29 src=::1 dst=::2 sport=5 "
	                                "dport=53 [UNREPLIED] src=::2 dst=::1 sport=53 dport=5 "
	                                "mark=0 use=2",
	                                &entry),
	        0);
	assert_int_equal(entry.family, AF_INET6);
	assert_int_equal(entry.protocol, IPPROTO_UDP);
	assert_int_equal(entry.status, 0);
	assert_int_equal(entry.reply.to_port, 5);

	/* a flow table's entry tells neither time nor state; ICMP has no ports */
	assert_int_equal(
	        lp_conntrack_parse_line("ipv4     2 tcp      6 src=1.2.3.4 dst=5.6.7.8 sport=1 "
	                                "dport=2 src=5.6.7.8 dst=1.2.3.4 sport=2 dport=1 "
	                                "[OFFLOAD] mark=0 use=3",
	                                &entry),
	        0);
	assert_true(entry.status & LP_CT_ASSURED);
	assert_int_equal(
	        lp_conntrack_parse_line("ipv4     2 icmp     1 29 src=1.2.3.4 dst=5.6.7.8 type=8 "
	                                "code=0 id=7 packets=1 bytes=84 src=5.6.7.8 dst=1.2.3.4 "
	                                "type=0 code=0 id=7 mark=0 use=2",
	                                &entry),
	        0);
	assert_int_equal(entry.original.to_port, 0);
}

static void what_is_no_entry_is_refused(void **state)
{
	(void)state;
	static const char *const lines[] = {
	        "",
	        "ipv4",
	        "ipx 4 tcp 6 1 src=1.2.3.4 dst=1.2.3.4 src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp",
	        "ipv4 2 tcp 256 1 src=1.2.3.4 dst=1.2.3.4 src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp 6 1 src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp 6 1 src=1.2.3.4 dst=1.2.3 src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp 6 1 src=::1 dst=::1 src=::1 dst=::1",
	        "ipv4 2 tcp 6 1 src=1.2.3.4 dst=1.2.3.4 sport=65536 src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp 6 1 src=1.2.3.4 dst=1.2.3.4 sport= src=1.2.3.4 dst=1.2.3.4",
	        "ipv4 2 tcp 6 1 src= dst=1.2.3.4 src=1.2.3.4 dst=1.2.3.4",
	};
	struct lp_conntrack_entry entry;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(lp_conntrack_parse_line(lines[i], &entry), -EINVAL);
}

/* ---- sums ---------------------------------------------------------------------------------- */

static struct lp_address numbered(uint32_t n)
{
	uint32_t bytes = htonl(0x0a000000 + n);
	return lp_address_make(AF_INET, &bytes, 0);
}

static void a_tally_is_exact_while_all_fit(void **state)
{
	(void)state;
	struct lp_tally *tally = lp_tally_new();
	for (uint32_t i = 0; i < LP_TALLY_MAX; i++)
		for (uint32_t k = 0; k < 1U + (i % 7 == 0) + (i == 5000 ? 9 : 0); k++) {
			struct lp_address a = numbered(i);
			lp_tally_add(tally, &a);
		}
	struct lp_tally_item top[3];
	assert_int_equal(lp_tally_top(tally, top, 3), 3);
	struct lp_address first = numbered(5000), second = numbered(0), third = numbered(7);
	assert_true(lp_address_equal(&top[0].address, &first));
	assert_int_equal(top[0].n, 10);
	/* equal ones by their bytes */
	assert_true(lp_address_equal(&top[1].address, &second));
	assert_true(lp_address_equal(&top[2].address, &third));
	assert_int_equal(top[0].missed + top[1].missed + top[2].missed, 0);
	lp_tally_free(tally);
}

/* Twice as many as fit, the large one among them again and again: none lacks more than it says. */
static void what_a_tally_drops_is_bounded(void **state)
{
	(void)state;
	enum { ROUNDS = 3, MANY = 2 * LP_TALLY_MAX };
	struct lp_tally *tally = lp_tally_new();
	for (uint32_t round = 0; round < ROUNDS; round++)
		for (uint32_t i = 0; i < MANY; i++) {
			struct lp_address a = numbered(i), large = numbered(MANY + i % 5);
			lp_tally_add(tally, &a);
			if (i % 3 == 0)
				lp_tally_add(tally, &large);
		}
	struct lp_tally_item top[LP_CT_TALKERS];
	assert_int_equal(lp_tally_top(tally, top, LP_CT_TALKERS), LP_CT_TALKERS);
	for (uint32_t i = 0; i < LP_CT_TALKERS; i++) {
		uint32_t n = ntohl(*(uint32_t *)top[i].address.bytes) - 0x0a000000;
		uint32_t truth = ROUNDS;
		if (n >= MANY) {
			truth = 0;
			for (uint32_t k = 0; k < MANY; k += 3)
				truth += k % 5 == n - MANY ? ROUNDS : 0;
		}
		assert_in_range(truth, top[i].n, top[i].n + top[i].missed);
		assert_int_equal(i < 5, n >= MANY);
	}
	lp_tally_free(tally);
}

static struct lp_conntrack_entry entry_of(uint8_t protocol, uint8_t tcp_state, uint32_t status,
                                          uint32_t left_s, uint16_t port)
{
	return (struct lp_conntrack_entry){
	        .original = {.from = {10, 0, 0, 1}, .to = {10, 0, 0, 2}, .to_port = port},
	        .family = AF_INET,
	        .protocol = protocol,
	        .state = tcp_state,
	        .status = status,
	        .left_s = left_s,
	};
}

static void entries_are_summed_up(void **state)
{
	(void)state;
	const uint32_t settled = LP_CT_SEEN_REPLY | LP_CT_ASSURED;
	const struct lp_conntrack_entry entries[] = {
	        entry_of(IPPROTO_TCP, LP_CT_ESTABLISHED, settled, 400000, 443),
	        entry_of(IPPROTO_TCP, LP_CT_TIME_WAIT, settled, 9, 443),
	        entry_of(IPPROTO_TCP, LP_CT_TIME_WAIT, settled, 10, 80),
	        entry_of(IPPROTO_TCP, LP_CT_TIME_WAIT, settled | LP_CT_SRC_NAT, 119, 80),
	        entry_of(IPPROTO_TCP, LP_CT_TIME_WAIT, settled, 120, 443),
	        entry_of(IPPROTO_TCP, 200, settled, 120, 443), /* no state there is */
	        entry_of(IPPROTO_UDP, 0, 0, 30, 443),
	        entry_of(IPPROTO_ICMPV6, 0, LP_CT_SEEN_REPLY, 30, 0),
	        entry_of(132, 0, 0, 30, 9),
	};
	_cleanup_(lp_tracks_freep) struct lp_tracks *tracks = lp_tracks_new();
	struct lp_conntrack_detail d;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		lp_tracks_add(tracks, &entries[i]);
	lp_tracks_tell(tracks, &d);
	assert_int_equal(d.entries, 9);
	assert_int_equal(d.assured, 6);
	assert_int_equal(d.unreplied, 2);
	assert_int_equal(d.translated, 1);
	assert_int_equal(d.protocols[LP_CT_TCP], 6);
	assert_int_equal(d.protocols[LP_CT_UDP], 1);
	assert_int_equal(d.protocols[LP_CT_ICMP], 1);
	assert_int_equal(d.protocols[LP_CT_OTHER], 1);
	assert_int_equal(d.states[LP_CT_ESTABLISHED], 1);
	assert_int_equal(d.states[LP_CT_TIME_WAIT], 4);
	assert_int_equal(d.drain[0], 1);
	assert_int_equal(d.drain[1], 2);
	assert_int_equal(d.drain[10], 2);
	assert_int_equal(d.drain[11], 3);
	assert_int_equal(d.sources.n, 1);
	assert_int_equal(d.sources.items[0].entries, 9);
	assert_int_equal(d.ports.n, 3);
	assert_int_equal(d.ports.items[0].port, 443);
	assert_int_equal(d.ports.items[0].entries, 4);
	assert_int_equal(d.ports.items[1].port, 80);
	assert_int_equal(d.ports.items[2].protocol, LP_CT_UDP);
}

static void the_largest_ports_are_told_in_order(void **state)
{
	(void)state;
	_cleanup_(lp_tracks_freep) struct lp_tracks *tracks = lp_tracks_new();
	struct lp_conntrack_detail d;
	for (uint16_t port = 1; port <= 30; port++)
		for (int n = 0; n < 1 + port * 7 % 30; n++) {
			struct lp_conntrack_entry entry = entry_of(IPPROTO_TCP, 3, 0, 1, port);
			lp_tracks_add(tracks, &entry);
		}
	lp_tracks_tell(tracks, &d);
	assert_int_equal(d.ports.n, LP_CT_TALKERS);
	for (size_t i = 0; i < LP_CT_TALKERS; i++) {
		assert_int_equal(d.ports.items[i].entries, 30 - i);
		assert_int_equal(1 + d.ports.items[i].port * 7 % 30, 30 - i);
	}
}

/* ---- eviction ------------------------------------------------------------------------------ */

/* Plays it through: each new connection that finds room takes an entry away. */
static double refused_of(uint64_t unassured, uint64_t buckets, uint64_t taken)
{
	double refused = 0;
	for (uint64_t i = 0; i < taken; i++)
		refused += lp_eviction_refusal(unassured - i, buckets);
	return refused;
}

static void what_counts_as_reusable_is_near_certain(void **state)
{
	(void)state;
	static const struct {
		uint64_t unassured, buckets;
	} cases[] = {{80000, 262144}, {150000, 262144}, {262144, 262144}, {262144, 65536},
	             {20000, 65536},  {1000, 1024},     {1000000, 16384}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t all = cases[i].unassured, buckets = cases[i].buckets;
		uint64_t n = lp_eviction_reusable(all, buckets);
		assert_in_range(n, 1, all);
		/* of n connections 1 in 100 is refused, and with a few more of them more than that
		 */
		double share = refused_of(all, buckets, n) / (double)n;
		assert_true(share <= 0.0101);
		uint64_t more = n + n / 20 + 2;
		if (more < all)
			assert_true(refused_of(all, buckets, more) > 0.01 * (double)more);
	}
}

static void few_among_many_buckets_are_not_reusable(void **state)
{
	(void)state;
	/* 9 of 800 connections found one of 200 in 262,144 buckets, where this says 1.2 % */
	assert_true(fabs(1 - lp_eviction_refusal(200, 262144) - 0.0121) < 0.0002);
	assert_int_equal(lp_eviction_reusable(200, 262144), 0);
	assert_int_equal(lp_eviction_reusable(0, 262144), 0);
	assert_int_equal(lp_eviction_reusable(70000, 262144), 0);
	assert_true(lp_eviction_refusal(0, 262144) == 1);
	assert_true(lp_eviction_refusal(262144, 262144) < 1e-6);
}

UNIT_MAIN(cmocka_unit_test(an_entry_is_decoded_whole), cmocka_unit_test(any_cut_is_noticed),
          cmocka_unit_test(an_interrupted_dump_is_asked_again),
          cmocka_unit_test(what_stays_torn_is_told),
          cmocka_unit_test(a_refusal_leaves_the_entries_absent),
          cmocka_unit_test(lines_are_decoded), cmocka_unit_test(what_is_no_entry_is_refused),
          cmocka_unit_test(a_tally_is_exact_while_all_fit),
          cmocka_unit_test(what_a_tally_drops_is_bounded), cmocka_unit_test(entries_are_summed_up),
          cmocka_unit_test(the_largest_ports_are_told_in_order),
          cmocka_unit_test(what_counts_as_reusable_is_near_certain),
          cmocka_unit_test(few_among_many_buckets_are_not_reusable))
