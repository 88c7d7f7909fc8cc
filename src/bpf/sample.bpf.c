// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Reads the tables of TCP sockets in place: no message for each socket, one walk for all
 * namespaces and both families, and what sock_diag does not tell. Nothing is locked. A chain that
 * changed under the walk shows it by its end marker, which names the bucket, as it does to the
 * kernel's own lookups (include/linux/rculist_nulls.h); it is then walked again.
 *
 * The kernel looks up each type and function that is named here through all that it has, 0.2 to
 * 0.4 ms each: of types there are few, and no function takes the read lock of RCU, which programs
 * for raw tracepoints hold, that are run here without one.
 */

#include "bpf/sample_chains.h"

enum {
	TIME_WAIT = 6,
	SYN_RECV = 3,
	CLOSE = 7,
	LISTEN = 10,
	NEW_SYN_RECV = 12,
	INET6 = 10,
	TRIES = 3,
	OWNERS = 16, /* of a port are asked whether they are for IPv6 only */
};

char _license[] SEC("license") = "Dual BSD/GPL";

/* ---- connections --------------------------------------------------------------------------- */

/* The first bucket of the block that stands for a stratum. */
static __always_inline __u32 bucket_of(const struct lp_sample_walk *walk, __u32 stratum)
{
	__u32 mix = (stratum + 1) * 0x9e3779b1U ^ (__u32)walk->seed;
	mix = (mix ^ mix >> 16) * 0x85ebca6bU;
	mix = (mix ^ mix >> 13) * 0xc2b2ae35U;
	mix ^= mix >> 16;
	__u32 place = (__u32)((__u64)mix * walk->stride >> 32);
	return (stratum * walk->stride + place) * LP_SAMPLE_BLOCK & walk->mask;
}

static __always_inline void take_time_wait(const struct lp_sample_out *out,
                                           struct lp_sample_record *record, __u64 sk)
{
	struct tcp_timewait_sock *tw = as(struct tcp_timewait_sock, sk);
	__s32 left = (__s32)(tw->tw_sk.tw_timer.expires - out->jiffies);
	record->state = tw->tw_sk.tw_substate;
	record->left = left < 0 ? 0 : left > 65535 ? 65535 : left;
	if (bpf_core_field_exists(tw->tw_sk.tw_entry_stamp)) {
		__u32 age_ms = out->now_ms - tw->tw_sk.tw_entry_stamp;
		record->age_ms = age_ms > 65535 ? 65535 : age_ms;
	}
	if (tw->tw_ts_recent_stamp)
		record->flags |= LP_SAMPLE_TIMESTAMPS;
}

static __always_inline __u64 words(const struct in6_addr *from, int half)
{
	return from->in6_u.u6_addr32[half * 2] | (__u64)from->in6_u.u6_addr32[half * 2 + 1] << 32;
}

/* One odd multiplier a round; what is left of a word's lower half reaches the upper one. */
static __always_inline __u64 mix(__u64 key, __u64 word)
{
	key = (key ^ word) * 0x9e3779b97f4a7c15UL;
	return key ^ key >> 32;
}

static __always_inline __u64 mix_addresses(__u64 key, const struct sock_common *common,
                                           __u16 family)
{
	if (!HAS_IPV6 || family != INET6)
		return mix(key, common->skc_addrpair);
	key = mix(key, words(&common->skc_v6_rcv_saddr, 0));
	key = mix(key, words(&common->skc_v6_rcv_saddr, 1));
	key = mix(key, words(&common->skc_v6_daddr, 0));
	return mix(key, words(&common->skc_v6_daddr, 1));
}

static __always_inline void tell_tuple(struct lp_sample_tuple *tuple,
                                       const struct sock_common *common, __u64 net, __u32 base,
                                       __u16 flags)
{
	tuple->net = net;
	tuple->base = base;
	tuple->ifindex = common->skc_bound_dev_if;
	tuple->family = common->skc_family;
	tuple->flags = flags;
	if (HAS_IPV6 && tuple->family == INET6) {
		*(__u64 *)&tuple->local[0] = words(&common->skc_v6_rcv_saddr, 0);
		*(__u64 *)&tuple->local[8] = words(&common->skc_v6_rcv_saddr, 1);
		*(__u64 *)&tuple->remote[0] = words(&common->skc_v6_daddr, 0);
		*(__u64 *)&tuple->remote[8] = words(&common->skc_v6_daddr, 1);
	} else {
		*(__u32 *)tuple->local = common->skc_rcv_saddr;
		*(__u32 *)tuple->remote = common->skc_daddr;
	}
}

/* Asks a socket who it is. What is no full socket has no process, and its type is a smaller one. */
__noinline int lp_tell_id(__u32 worker, __u64 sk)
{
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return 0;
	struct sock *sock = as(struct sock, sk);
	struct lp_sample_id *id = &out->ids[out->mark & MASK];
	__u8 state = sock->__sk_common.skc_state;
	id->cookie = sock->__sk_common.skc_cookie.counter;
	id->inode = 0;
	if (!id->cookie)
		id->cookie = sk;
	if (state != TIME_WAIT && state != NEW_SYN_RECV && sock->sk_socket)
		id->inode = as(struct socket_alloc, sock->sk_socket)->vfs_inode.i_ino;
	return 0;
}

/*
 * Copies a socket out, and its tuple where the slot is not that tuple's yet. Two tuples of one key
 * would be taken for one: 64 bits keep a million of them apart.
 */
__noinline int lp_take_socket(__u32 worker, __u64 sk, __u64 word)
{
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return 0;
	struct sock_common *common = as(struct sock_common, sk);
	struct lp_sample_record *record = &out->records[out->mark & MASK];
	__u16 local_port = word >> 48, remote_port = bpf_ntohs(word >> 32);
	__u16 family = common->skc_family;
	__u8 state = common->skc_state;
	out->net = (__u64)common->skc_net.net;
	__u64 net = out->net; /* a number: the verifier lets nobody compute with a pointer */
	bool by_local = out->by_local[local_port / 64] >> (local_port % 64) & 1;

	__u64 key = mix(out->seed, net + ((__u64)common->skc_bound_dev_if << 32));
	key = mix(key, (by_local ? local_port : remote_port | 1U << 16) | (__u64)family << 24);
	key = mix(mix_addresses(key, common, family), 0);
	__u32 slot = key % LP_SAMPLE_SLOTS;
	bool told = out->slots[slot].key == key;

	record->slot = slot;
	record->local_port = local_port;
	record->remote_port = remote_port;
	record->left = 0;
	record->age_ms = 0;
	record->state = state == NEW_SYN_RECV ? SYN_RECV : state;
	record->flags = BPF_CORE_READ_BITFIELD(common, skc_ipv6only) ? LP_SAMPLE_V6ONLY : 0;
	if (state == TIME_WAIT)
		take_time_wait(out, record, sk);
	if (!told) {
		record->flags |= LP_SAMPLE_NEW;
		tell_tuple(&out->tuples[out->tuple & MASK], common, net, base_of(word),
		           by_local ? LP_SAMPLE_BY_LOCAL : 0);
	}
	if (hash_and_ports(sk) != word) {
		out->moved++; /* its memory became another socket's meanwhile */
		return 0;
	}
	/* FIN_WAIT2 may be kept as a TIME_WAIT, and is none */
	if (out->want_ids == LP_SAMPLE_ALL_IDS || (out->want_ids && record->state != TIME_WAIT))
		lp_tell_id(worker, sk);
	else
		out->ids[out->mark & MASK].cookie = 0;
	out->mark++;
	if (!told) {
		out->tuple++;
		out->slots[slot].key = key;
		out->slots[slot].base = base_of(word);
	} else if (!by_local && out->slots[slot].base != base_of(word)) {
		out->scattered++;
	}
	return 0;
}

/*
 * Takes the sockets of buckets, of one pool only where that is asked for. One that belongs
 * elsewhere is another one by now, maybe half made.
 */
static __always_inline void take_buckets(struct lp_sample_out *out,
                                         const struct lp_sample_walk *walk, __u32 worker,
                                         __u32 bucket, __u32 buckets)
{
	__u32 mask = walk->mask, pool = walk->pool, is_pool = walk->is_pool;
	for (out->k = 0; out->k < out->n && rounds_left(); out->k++) {
		__u64 word = hash_and_ports(out->socks[out->k & MASK]);
		if ((((__u32)word - bucket) & mask) >= buckets)
			out->moved++;
		else if (!is_pool || base_of(word) == pool)
			lp_take_socket(worker, out->socks[out->k & MASK], word);
	}
}

/*
 * How many blocks to walk at once, going by the last ones: as many as bring some hundreds of
 * sockets. A sample's lie apart; and of those where a chain changed, only that one is walked often.
 */
__noinline int lp_choose_batch(__u32 worker, __u32 left)
{
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return 1;
	if (out->n > LP_SAMPLE_FULL / 2 && out->batch > 1)
		out->batch /= 2;
	else if (out->n < LP_SAMPLE_FULL / 8 && out->batch < LP_SAMPLE_BATCH)
		out->batch *= 2;
	bool alone = out->tries || out->asked.walk.stride > 1 || left < out->batch;
	return alone ? 1 : out->batch;
}

__noinline int lp_walk(__u32 worker)
{
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return -1;
	struct lp_sample_walk *walk = &out->asked.walk;
	__u32 strata = walk->strata, from = walk->from;
	if (strata > LP_SAMPLE_BLOCKS)
		strata = LP_SAMPLE_BLOCKS;
	out->seed = walk->seed;
	out->want_ids = walk->ids;
	out->jiffies = bpf_jiffies64();
	out->now_ms = (__u32)(bpf_ktime_get_ns() / 1000000);
	walk->again = 0;
	walk->torn = 0;
	out->i = 0;
	out->n = 0;
	out->tries = 0;
	out->batch = 1;
	out->mark = 0;
	out->tuple = 0;
	out->moved = 0;
	out->scattered = 0;
	while (out->i < strata && out->mark < LP_SAMPLE_FULL && rounds_left()) {
		__u32 bucket = bucket_of(walk, from + out->i);
		__u32 blocks = lp_choose_batch(worker, strata - out->i);
		__u32 buckets = blocks * LP_SAMPLE_BLOCK;
		int whole = lp_walk_buckets(worker, walk->ehash, bucket, buckets, walk->mask);
		if (!whole && (blocks > 1 || out->n < LP_SAMPLE_FULL) && ++out->tries < TRIES) {
			walk->again++;
			continue;
		}
		walk->torn += !whole;
		take_buckets(out, walk, worker, bucket, buckets);
		out->tries = 0;
		out->i += blocks;
	}
	walk->strata = out->i;
	walk->records = out->mark;
	walk->tuples = out->tuple;
	walk->moved = out->moved;
	walk->scattered = out->scattered;
	return 0;
}

/* ---- ports in use -------------------------------------------------------------------------- */

/*
 * connect() passes over a port whose bucket has either of these: __inet_hash_connect() in
 * net/ipv4/inet_hashtables.c.
 */
static __always_inline bool is_held(const struct inet_bind_bucket *bucket)
{
	return !bucket->l3mdev && (bucket->fastreuse >= 0 || bucket->fastreuseport >= 0);
}

static __always_inline struct lp_sample_port *add_port(struct lp_sample_out *out, __u64 net,
                                                       __u16 number, __u16 flags)
{
	struct lp_sample_port *port = &out->ports[out->n++ & MASK];
	port->net = net;
	port->port = number;
	port->flags = flags;
	port->ifindex = 0;
	return port;
}

/*
 * The first sockets on the port that was added last: whether any is for both families, and whether
 * one is bound and nothing else, or listens.
 */
__noinline int lp_ask_owners(__u64 bucket)
{
	const __u64 offset = offset_of(skc_bind_node);
	struct lp_sample_out *out = out_of_map(0);
	if (!out)
		return 0;
	struct lp_sample_port *port = &out->ports[(out->n - 1) & MASK];
	__u64 node = (__u64)as(struct inet_bind2_bucket, bucket)->owners.first;
	__u16 known = LP_SAMPLE_SIX_KNOWN | LP_SAMPLE_SIX_ALONE;
	for (out->owners = 0; node && out->owners < OWNERS && rounds_left(); out->owners++) {
		struct sock_common *common = as(struct sock_common, node - offset);
		port->ifindex = common->skc_bound_dev_if;
		if (!BPF_CORE_READ_BITFIELD(common, skc_ipv6only))
			known = LP_SAMPLE_SIX_KNOWN;
		if (common->skc_state == CLOSE)
			port->flags |= LP_SAMPLE_BOUND;
		if (common->skc_state == LISTEN)
			port->flags |= LP_SAMPLE_LISTENS;
		node = (__u64)common->skc_bind_node.next;
	}
	if (!node || !(known & LP_SAMPLE_SIX_ALONE))
		port->flags |= known;
	if (node)
		port->flags |= LP_SAMPLE_LISTENS; /* newer ones come first */
	return 0;
}

static __always_inline bool is_mapped(const struct lp_sample_port *port)
{
	const __u32 *word = (const __u32 *)port->address;
	return !word[0] && !word[1] && word[2] == bpf_htonl(0xffff);
}

/* IPv4 as IPv6 has it, as buckets do, unless the kernel knows nothing else. */
static __always_inline void tell_address(struct lp_sample_port *port,
                                         const struct inet_bind2_bucket *bucket)
{
	__u32 *word = (__u32 *)port->address;
	if (bpf_core_field_exists(bucket->v6_rcv_saddr)) {
		*(__u64 *)&port->address[0] = words(&bucket->v6_rcv_saddr, 0);
		*(__u64 *)&port->address[8] = words(&bucket->v6_rcv_saddr, 1);
		return;
	}
	word[0] = word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = bpf_core_field_exists(bucket->rcv_saddr) ? bucket->rcv_saddr : 0;
}

/* The addresses that a port is in use on. 0: the list changed. */
__noinline int lp_walk_addresses(__u64 port_bucket)
{
	const __u64 offset = bpf_core_field_offset(struct inet_bind2_bucket, bhash_node);
	struct inet_bind_bucket *owner = as(struct inet_bind_bucket, port_bucket);
	struct lp_sample_out *out = out_of_map(0);
	if (!out)
		return 0;
	out->lanes[1] = (__u64)owner->bhash2.first;
	while (out->lanes[1] && out->n < LP_SAMPLE_ROOM && rounds_left()) {
		__u64 address = out->lanes[1] - offset;
		struct inet_bind2_bucket *bucket = as(struct inet_bind2_bucket, address);
		if (bucket->ib_net.net != owner->ib_net.net || bucket->port != owner->port)
			return 0;
		struct lp_sample_port *port =
		        add_port(out, (__u64)bucket->ib_net.net, bucket->port, 0);
		tell_address(port, bucket);
		if (!is_mapped(port) || out->held)
			lp_ask_owners(address);
		out->lanes[1] = (__u64)bucket->bhash_node.next;
	}
	return 1;
}

static __always_inline bool walk_ports(struct lp_sample_out *out, __u64 head, bool addresses)
{
	bool whole = true;
	out->lanes[0] = (__u64)as(struct inet_bind_hashbucket, head)->chain.first;
	while (out->lanes[0] && out->n < LP_SAMPLE_ROOM && rounds_left()) {
		__u64 address =
		        out->lanes[0] - bpf_core_field_offset(struct inet_bind_bucket, node);
		struct inet_bind_bucket *bucket = as(struct inet_bind_bucket, address);
		out->held = is_held(bucket);
		if (out->held)
			add_port(out, (__u64)bucket->ib_net.net, bucket->port, LP_SAMPLE_HELD);
		if (addresses)
			whole &= lp_walk_addresses(address);
		out->lanes[0] = (__u64)bucket->node.next;
	}
	return whole;
}

__noinline int lp_ports(__u32 worker)
{
	const __u64 size = bpf_core_type_size(struct inet_bind_hashbucket);
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return -1;
	struct lp_sample_ports *ports = &out->asked.ports;
	__u64 bhash = ports->bhash;
	__u32 from = ports->from, end = ports->n_bhash;
	bool addresses = ports->addresses, whole = true;
	if (end - from > LP_SAMPLE_PORTS)
		end = from + LP_SAMPLE_PORTS;
	out->n = 0;
	out->i = from;
	while (out->i < end && out->n < LP_SAMPLE_FULL && rounds_left()) {
		whole &= walk_ports(out, bhash + out->i * size, addresses);
		out->i++;
	}
	ports->next = out->i;
	ports->ports = out->n < LP_SAMPLE_ROOM ? out->n : LP_SAMPLE_ROOM;
	ports->torn = out->n >= LP_SAMPLE_ROOM || !whole;
	return 0;
}

/* ---- network namespaces -------------------------------------------------------------------- */

static __always_inline void take_net(struct lp_sample_net *entry, struct net *net)
{
	struct inet_hashinfo *info = net->ipv4.tcp_death_row.hashinfo;
	__u32 range = net->ipv4.ip_local_ports.range;
	entry->net = (__u64)net;
	entry->ehash = (__u64)info->ehash;
	entry->bhash = (__u64)info->bhash;
	entry->n_ehash = info->ehash_mask + 1;
	entry->n_bhash = info->bhash_size;
	entry->inode = net->ns.inum;
	entry->cookie = bpf_core_field_exists(net->net_cookie) ? (__u32)net->net_cookie : 0;
	entry->time_wait = net->ipv4.tcp_death_row.tw_refcount.refs.counter - 1;
	entry->max_tw_buckets = net->ipv4.tcp_death_row.sysctl_max_tw_buckets;
	entry->low = range;
	entry->high = range >> 16;
	entry->tw_reuse = net->ipv4.sysctl_tcp_tw_reuse;
	entry->timestamps = net->ipv4.sysctl_tcp_timestamps;
	entry->has_delay = bpf_core_field_exists(net->ipv4.sysctl_tcp_tw_reuse_delay);
	if (bpf_core_field_exists(net->ipv4.sysctl_tcp_tw_reuse_delay))
		entry->tw_reuse_delay_ms = net->ipv4.sysctl_tcp_tw_reuse_delay;
	entry->has_reserved = net->ipv4.sysctl_local_reserved_ports != 0;
}

static __always_inline void copy_reserved(struct lp_sample_out *out, __u64 address)
{
	struct net *net = as(struct net, address);
	out->lanes[0] = (__u64)net->ipv4.sysctl_local_reserved_ports;
	for (out->i = 0; out->i < 1024 && rounds_left(); out->i++)
		out->reserved[out->i & 1023] = word_at(out->lanes[0] + out->i * 8);
}

static __always_inline void tell_place(struct lp_sample_place *place, struct net *net)
{
	struct inet_hashinfo *info = net->ipv4.tcp_death_row.hashinfo;
	place->net = (__u64)net;
	place->inode = net->ns.inum;
	place->ehash = (__u64)info->ehash;
	place->n_ehash = info->ehash_mask + 1;
	place->bhash = (__u64)info->bhash;
	place->n_bhash = info->bhash_size;
	place->jiffies = bpf_jiffies64();
	place->now_ns = bpf_ktime_get_ns();
	place->has_age = bpf_core_field_exists(struct tcp_timewait_sock, tw_sk.tw_entry_stamp);
	place->has_addresses = bpf_core_field_exists(struct inet_bind_bucket, bhash2) &&
	                       bpf_core_field_exists(struct inet_bind2_bucket, owners);
}

static __always_inline void take_nets(struct lp_sample_out *out, struct net *own)
{
	out->n = 0;
	out->lanes[0] = out->lanes[1] = (__u64)own + bpf_core_field_offset(struct net, list);
	do {
		struct net *net =
		        as(struct net, out->lanes[0] - bpf_core_field_offset(struct net, list));
		/* the head of the list is in no namespace: what would be its operations are none */
		if (net->ns.ops == own->ns.ops)
			take_net(&out->nets[out->n++ & MASK], net);
		out->lanes[0] = (__u64)net->list.next;
	} while (out->lanes[0] && out->lanes[0] != out->lanes[1] && out->n < LP_SAMPLE_ROOM &&
	         rounds_left());
}

__noinline int lp_nets(__u32 worker)
{
	struct task_struct *task = as(struct task_struct, bpf_get_current_task());
	struct net *own = task->nsproxy->net_ns;
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return -1;
	struct lp_sample_nets *nets = &out->asked.nets;
	if (nets->here) {
		tell_place(&nets->place, own);
	} else if (nets->reserved_of) {
		copy_reserved(out, nets->reserved_of);
	} else {
		take_nets(out, own);
		nets->nets = out->n;
		nets->torn = out->lanes[0] != out->lanes[1];
	}
	return 0;
}

/* One program for all: each would have the kernel look up again what it calls. */
SEC("raw_tp/run")
int lp_sample(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 worker = ctx->args[0];
	switch (ctx->args[1]) {
	case LP_SAMPLE_WALK:
		return lp_walk(worker);
	case LP_SAMPLE_BOUND_PORTS:
		return lp_ports(worker);
	case LP_SAMPLE_NAMESPACES:
		return lp_nets(worker);
	default:
		return -1;
	}
}
