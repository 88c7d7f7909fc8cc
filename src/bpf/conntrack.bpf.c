// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Reads connection tracking's table in place. Nothing tells programs where it is, so an entry that
 * is known to be there is looked up (bpf_xdp_ct_lookup(), Linux 6.0): going back from it by what
 * points at it leads to the head of its bucket, and the end marker of its chain says which bucket
 * that is. Nothing is locked; a chain that changed under the walk ends with another bucket's
 * marker.
 */

#include "bpf/types.h"

#include "bpf/conntrack.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct hlist_nulls_node___back {
	struct hlist_nulls_node *next, **pprev;
};

union nf_inet_addr {
	__u32 all[4];
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
	__u16 l3num;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		__u8 protonum;
		__u8 dir;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct hlist_nulls_node hnnode;
	struct nf_conntrack_tuple tuple;
};

struct ip_ct_tcp {
	__u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

struct nf_conn {
	__u32 timeout;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	union nf_conntrack_proto proto;
};

#pragma clang attribute pop

/* of include/net/netfilter/nf_conntrack_bpf.h, in the size that all kernels take */
struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
                                         __u32 tuple_size, struct bpf_ct_opts *opts,
                                         __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

enum {
	MASK = LP_TRACK_ROOM - 1,
	TRIES = 3,
	INET = 2,
	TCP = 6,
	DYING = 1 << 9, /* IPS_DYING */
	ORIGINAL = 0,
};

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lp_track_out);
} tracked SEC(".maps");

static __always_inline struct lp_track_out *out_of_map(void)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&tracked, &key);
}

/* Kept in the map: what was read there is a number to the verifier, and not an address. */
#define node_of(out) (*(volatile __u64 *)&(out)->node)

static __always_inline bool is_end(__u64 node)
{
	return node & 1 || !node;
}

/*
 * A field of an entry. It is not cast to struct nf_conn, because kernels have a second type of
 * nearly that name (nf_conn___init), and CO-RE takes both for it; a field's place is not in doubt.
 */
#define field_of(ct, field) ((ct) + bpf_core_field_offset(struct nf_conn, field))

static __always_inline __u64 word_at(__u64 address)
{
	return (__u64)as(struct hlist_nulls_node, address)->next;
}

/* ---- where the table is -------------------------------------------------------------------- */

static __always_inline void look_around(struct lp_track_out *out, __u64 node)
{
	node_of(out) = node;
	for (out->i = 0; out->i < LP_TRACK_BACK && rounds_left(); out->i++) {
		/* what points at it is the first field of the one before it, or of the head */
		node_of(out) = (__u64)as(struct hlist_nulls_node___back, node_of(out))->pprev;
		out->find.back[out->i & (LP_TRACK_BACK - 1)] = node_of(out);
	}
	node_of(out) = node;
	while (!is_end(node_of(out)) && rounds_left())
		node_of(out) = (__u64)as(struct hlist_nulls_node, node_of(out))->next;
	out->find.bucket = (__u32)(node_of(out) >> 1);
}

static __always_inline __u32 tuple_of(const struct lp_track_find *find,
                                      struct bpf_sock_tuple *tuple)
{
	if (find->family == INET) {
		__builtin_memcpy(&tuple->ipv4.saddr, find->from, sizeof(tuple->ipv4.saddr));
		__builtin_memcpy(&tuple->ipv4.daddr, find->to, sizeof(tuple->ipv4.daddr));
		tuple->ipv4.sport = find->from_port;
		tuple->ipv4.dport = find->to_port;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.saddr, find->from, sizeof(tuple->ipv6.saddr));
	__builtin_memcpy(tuple->ipv6.daddr, find->to, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.sport = find->from_port;
	tuple->ipv6.dport = find->to_port;
	return sizeof(tuple->ipv6);
}

/* Run by hand, on no packet: the lookup is there for programs of this kind. */
SEC("xdp")
int lp_track_find(struct xdp_md *ctx)
{
	struct lp_track_out *out = out_of_map();
	struct bpf_sock_tuple tuple = {};
	if (!out)
		return XDP_ABORTED;
	struct bpf_ct_opts opts = {.netns_id = -1, .l4proto = out->find.protocol};
	struct nf_conn *ct;
	if (tuple_of(&out->find, &tuple) == sizeof(tuple.ipv4))
		ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	else
		ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	out->find.error = ct ? 0 : opts.error;
	if (!ct)
		return XDP_PASS;
	out->find.net = word_at(field_of((__u64)ct, ct_net));
	out->find.jiffies = bpf_jiffies64();
	out->find.now_ns = bpf_ktime_get_ns();
	look_around(out, field_of((__u64)ct, tuplehash));
	bpf_ct_release(ct);
	return XDP_PASS;
}

/* ---- entries ------------------------------------------------------------------------------- */

static __always_inline void copy_address(__u8 to[16], const union nf_inet_addr *from)
{
	__u32 *words = (__u32 *)to;
	words[0] = from->all[0];
	words[1] = from->all[1];
	words[2] = from->all[2];
	words[3] = from->all[3];
}

/* Copies an entry out, which `node` is the original direction of. False: it is none of ours. */
static __always_inline bool take_entry(struct lp_track_record *record, __u64 node, __u64 net,
                                       __u32 jiffies)
{
	__u64 ct = node - bpf_core_field_offset(struct nf_conn, tuplehash);
	if (word_at(field_of(ct, ct_net)) != net)
		return false;
	record->status = (__u32)word_at(field_of(ct, status));
	record->left = (__s32)(as(union nf_inet_addr, field_of(ct, timeout))->all[0] - jiffies);
	if (record->left <= 0 || record->status & DYING)
		return false;
	struct nf_conntrack_tuple *original = &as(struct nf_conntrack_tuple_hash, node)->tuple;
	struct nf_conntrack_tuple *reply =
	        &as(struct nf_conntrack_tuple_hash,
	            node + bpf_core_type_size(struct nf_conntrack_tuple_hash))
	                 ->tuple;
	copy_address(record->from, &original->src.u3);
	copy_address(record->to, &original->dst.u3);
	copy_address(record->reply_from, &reply->src.u3);
	copy_address(record->reply_to, &reply->dst.u3);
	record->from_port = original->src.u.all;
	record->to_port = original->dst.u.all;
	record->reply_from_port = reply->src.u.all;
	record->reply_to_port = reply->dst.u.all;
	record->family = (__u8)original->src.l3num;
	record->protocol = original->dst.protonum;
	record->state =
	        record->protocol == TCP ? as(struct ip_ct_tcp, field_of(ct, proto))->state : 0;
	return true;
}

/* False: the chain changed meanwhile. */
static __always_inline bool walk_bucket(struct lp_track_out *out, __u64 head, __u32 bucket,
                                        __u64 net, __u32 jiffies)
{
	node_of(out) = (__u64)as(struct hlist_nulls_head, head)->first;
	while (!is_end(node_of(out)) && out->n < LP_TRACK_ROOM && rounds_left()) {
		struct nf_conntrack_tuple_hash *hash =
		        as(struct nf_conntrack_tuple_hash, node_of(out));
		if (hash->tuple.dst.dir == ORIGINAL &&
		    take_entry(&out->records[out->n & MASK], node_of(out), net, jiffies))
			out->n++;
		node_of(out) = (__u64)hash->hnnode.next;
	}
	return node_of(out) == ((__u64)bucket << 1 | 1);
}

SEC("syscall")
int lp_track_walk(struct lp_track_walk *walk)
{
	struct lp_track_out *out = out_of_map();
	if (!out)
		return -1;
	__u64 table = walk->table, net = walk->net;
	__u32 from = walk->from, buckets = walk->buckets, torn = 0;
	__u32 jiffies = (__u32)bpf_jiffies64();
	if (buckets > LP_TRACK_BUCKETS)
		buckets = LP_TRACK_BUCKETS;
	out->n = out->i = out->tries = 0;
	bpf_rcu_read_lock();
	while (out->i < buckets && out->n < LP_TRACK_FULL && rounds_left()) {
		__u32 bucket = from + out->i;
		out->mark = out->n;
		if (!walk_bucket(out, table + bucket * 8ULL, bucket, net, jiffies)) {
			if (++out->tries < TRIES) {
				out->n = out->mark;
				continue;
			}
			torn++;
		}
		out->tries = 0;
		out->i++;
	}
	bpf_rcu_read_unlock();
	walk->buckets = out->i;
	walk->records = out->n;
	walk->torn = torn;
	return 0;
}
