// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Reads the tables of TCP sockets in place: no message for each socket, one walk for all
 * namespaces and both families, and what sock_diag does not tell. Nothing is locked. A chain that
 * changed under the walk shows it by its end marker, which names the bucket, as it does to the
 * kernel's own lookups (include/linux/rculist_nulls.h); it is then walked again.
 */

#include "bpf/types.h"

#include "bpf/sample.h"

enum {
	TIME_WAIT = 6,
	SYN_RECV = 3,
	NEW_SYN_RECV = 12,
	INET6 = 10,
	TRIES = 3,
	MASK = LP_SAMPLE_ROOM - 1,
};

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lp_sample_out);
} sampled SEC(".maps");

static __always_inline struct lp_sample_out *out_of_map(void)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&sampled, &key);
}

SEC("syscall")
int lp_sample_here(struct lp_sample_place *place)
{
	struct task_struct *task = as(struct task_struct, bpf_get_current_task());
	struct net *net = task->nsproxy->net_ns;
	struct inet_hashinfo *info = net->ipv4.tcp_death_row.hashinfo;
	place->net = (__u64)net;
	place->inode = net->ns.inum;
	place->ehash = (__u64)info->ehash;
	place->n_ehash = info->ehash_mask + 1;
	place->bhash = (__u64)info->bhash;
	place->n_bhash = info->bhash_size;
	place->jiffies = bpf_jiffies64();
	place->now_ns = bpf_ktime_get_ns();
	place->has_age = bpf_core_field_exists(struct inet_timewait_sock, tw_entry_stamp);
	return 0;
}

/* ---- connections --------------------------------------------------------------------------- */

static __always_inline bool is_end(__u64 node)
{
	return node & 1 || !node;
}

/* The compiler does not unroll these by itself. */
#define each_lane(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)
_Static_assert(LP_SAMPLE_BLOCK == 8, "each_lane() names them");

#define begin_lane(i)   \
	out->lanes[i] = \
	        (__u64)as(struct inet_ehash_bucket, ehash + (bucket + (i)) * size)->chain.first;
#define look_ahead(i) out->next[i] = (__u64)as(struct hlist_nulls_node, out->lanes[i])->next;
#define step_lane(i)                                         \
	if (!is_end(out->lanes[i])) {                        \
		live = true;                                 \
		out->nodes[out->n++ & MASK] = out->lanes[i]; \
		out->lanes[i] = out->next[i];                \
	}
#define check_lane(i) strange |= out->lanes[i] ^ ((bucket + (i)) * 2UL + 1);

/* Walks the chains of a block side by side and notes their nodes. False: one of them changed. */
static __always_inline bool walk_block(struct lp_sample_out *out, __u64 ehash, __u32 bucket)
{
	const __u64 size = bpf_core_type_size(struct inet_ehash_bucket);
	__u64 strange = 0;
	bool live = true;
	each_lane(begin_lane);
	while (live && out->n <= LP_SAMPLE_ROOM && rounds_left()) {
		live = false;
		each_lane(look_ahead);
		each_lane(step_lane);
	}
	each_lane(check_lane);
	return !strange;
}

static __always_inline void take_time_wait(struct lp_sample_record *record, __u64 sk, __u64 jiffies,
                                           __u32 now_ms)
{
	struct inet_timewait_sock *tw = as(struct inet_timewait_sock, sk);
	record->state = tw->tw_substate;
	record->left = (__s32)(tw->tw_timer.expires - jiffies);
	if (bpf_core_field_exists(tw->tw_entry_stamp))
		record->age_ms = now_ms - tw->tw_entry_stamp;
	if (as(struct tcp_timewait_sock, sk)->tw_ts_recent_stamp)
		record->flags |= LP_SAMPLE_TIMESTAMPS;
}

static __always_inline void copy_six(__u8 to[16], const struct in6_addr *from)
{
	__u32 *words = (__u32 *)to;
	words[0] = from->in6_u.u6_addr32[0];
	words[1] = from->in6_u.u6_addr32[1];
	words[2] = from->in6_u.u6_addr32[2];
	words[3] = from->in6_u.u6_addr32[3];
}

static __always_inline __u64 sk_of(__u64 node)
{
	return node - bpf_core_field_offset(struct sock_common, skc_nulls_node);
}

/* Copies a socket out. False: its memory became another socket's meanwhile. */
static __always_inline bool take_socket(struct lp_sample_record *record, __u64 node, __u64 jiffies,
                                        __u32 now_ms)
{
	__u64 sk = sk_of(node);
	struct sock_common *common = as(struct sock_common, sk);
	__u32 hash = common->skc_hash;
	__u8 state = common->skc_state;
	record->hash = hash;
	record->net = (__u64)common->skc_net.net;
	record->local_port = common->skc_num;
	record->remote_port = bpf_ntohs(common->skc_dport);
	record->family = common->skc_family;
	record->state = state == NEW_SYN_RECV ? SYN_RECV : state;
	record->flags = BPF_CORE_READ_BITFIELD(common, skc_ipv6only) ? LP_SAMPLE_V6ONLY : 0;
	record->ifindex = common->skc_bound_dev_if;
	record->left = 0;
	record->age_ms = 0;
	if (record->family == INET6) {
		copy_six(record->local, &common->skc_v6_rcv_saddr);
		copy_six(record->remote, &common->skc_v6_daddr);
	} else {
		*(__u32 *)record->local = common->skc_rcv_saddr;
		*(__u32 *)record->remote = common->skc_daddr;
	}
	if (state == TIME_WAIT)
		take_time_wait(record, sk, jiffies, now_ms);
	return common->skc_hash == hash && common->skc_state == state;
}

#define touch_lane(j)                                    \
	sk = sk_of(out->nodes[(out->i + (j)) & MASK]);   \
	touched += as(struct sock_common, sk)->skc_hash; \
	touched += (__u32)as(struct inet_timewait_sock, sk)->tw_timer.expires;

/*
 * Brings the next sockets into the cache together: taken one by one, each would wait for memory
 * (80 ns). What lies behind the last one is some older address, and harmless.
 */
static __always_inline void touch_next(struct lp_sample_out *out)
{
	__u32 touched = 0;
	__u64 sk;
	each_lane(touch_lane);
	out->touched = touched;
}

static __always_inline __u32 take_sockets(struct lp_sample_out *out)
{
	__u64 jiffies = bpf_jiffies64();
	__u32 now_ms = (__u32)(bpf_ktime_get_ns() / 1000000);
	__u32 moved = 0;
	out->mark = 0;
	for (out->i = 0; out->i < out->n && rounds_left(); out->i++) {
		__u64 node = out->nodes[out->i & MASK];
		if (out->i % LP_SAMPLE_BLOCK == 0)
			touch_next(out);
		if (take_socket(&out->records[out->mark & MASK], node, jiffies, now_ms))
			out->mark++;
		else
			moved++;
	}
	return moved;
}

SEC("syscall")
int lp_sample_walk(struct lp_sample_walk *walk)
{
	struct lp_sample_out *out = out_of_map();
	if (!out)
		return -1;
	__u64 ehash = walk->ehash;
	__u32 blocks = walk->blocks, from = walk->from;
	__u32 tries = 0, again = 0, torn = 0;
	if (blocks > LP_SAMPLE_BLOCKS)
		blocks = LP_SAMPLE_BLOCKS;
	out->n = 0;
	out->i = 0;
	bpf_rcu_read_lock();
	while (out->i < blocks && out->n < LP_SAMPLE_FULL && rounds_left()) {
		out->mark = out->n;
		bool whole = walk_block(out, ehash, from + out->i * LP_SAMPLE_BLOCK);
		if (out->n > LP_SAMPLE_ROOM) {
			out->n = LP_SAMPLE_ROOM;
			torn++;
		} else if (!whole && ++tries < TRIES) {
			out->n = out->mark;
			again++;
			continue;
		} else if (!whole) {
			torn++;
		}
		tries = 0;
		out->i++;
	}
	walk->blocks = out->i;
	walk->moved = take_sockets(out);
	bpf_rcu_read_unlock();
	walk->records = out->mark;
	walk->again = again;
	walk->torn = torn;
	return 0;
}

/* ---- ports that an explicit bind holds ----------------------------------------------------- */

/*
 * connect() passes over a port whose bucket has either of these: __inet_hash_connect() in
 * net/ipv4/inet_hashtables.c.
 */
static __always_inline bool is_held(const struct inet_bind_bucket *bucket)
{
	return !bucket->l3mdev && (bucket->fastreuse >= 0 || bucket->fastreuseport >= 0);
}

static __always_inline void walk_ports(struct lp_sample_out *out, __u64 head)
{
	out->lanes[0] = (__u64)as(struct inet_bind_hashbucket, head)->chain.first;
	while (out->lanes[0] && out->n < LP_SAMPLE_ROOM && rounds_left()) {
		struct inet_bind_bucket *bucket =
		        as(struct inet_bind_bucket,
		           out->lanes[0] - bpf_core_field_offset(struct inet_bind_bucket, node));
		if (is_held(bucket)) {
			struct lp_sample_port *port = &out->ports[out->n++ & MASK];
			port->net = (__u64)bucket->ib_net.net;
			port->port = bucket->port;
		}
		out->lanes[0] = (__u64)bucket->node.next;
	}
}

SEC("syscall")
int lp_sample_ports(struct lp_sample_ports *ports)
{
	const __u64 size = bpf_core_type_size(struct inet_bind_hashbucket);
	struct lp_sample_out *out = out_of_map();
	if (!out)
		return -1;
	__u64 bhash = ports->bhash;
	__u32 from = ports->from, end = ports->n_bhash;
	if (end - from > LP_SAMPLE_PORTS)
		end = from + LP_SAMPLE_PORTS;
	out->n = 0;
	out->i = from;
	bpf_rcu_read_lock();
	while (out->i < end && out->n < LP_SAMPLE_FULL && rounds_left()) {
		walk_ports(out, bhash + out->i * size);
		out->i++;
	}
	bpf_rcu_read_unlock();
	ports->next = out->i;
	ports->ports = out->n;
	ports->torn = out->n >= LP_SAMPLE_ROOM;
	return 0;
}
