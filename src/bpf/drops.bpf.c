// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * SYNs that netfilter drops, counted in the kernel by namespace and by the place that dropped them:
 * nft_do_chain() ends what a rule drops by itself, and nf_hook_slow() what connection tracking and
 * other hooks refuse.
 */

#include "bpf/types.h"

#include "bpf/drops.h"

enum { FOUR = 4, SIX = 6, TCP = 6, SYN = 2, SYN_ACK = 18 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	unsigned char *head;
	__u16 network_header;
};

enum skb_drop_reason {
	SKB_DROP_REASON_NETFILTER_DROP = 1, /* whatever the running kernel has for it */
};

#pragma clang attribute pop

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LP_DROPS_PLACES);
	__type(key, struct lp_drops_place);
	__type(value, __u64);
} places SEC(".maps");

/* SYNs that found no room in the other map. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* The TCP header behind an IP header; behind IPv6's where it is the next one. 0: it is none. */
static __always_inline const unsigned char *tcp_of(const unsigned char *ip)
{
	unsigned char first = 0, protocol = 0;
	bpf_probe_read_kernel(&first, 1, ip);
	if (first >> 4 == FOUR) {
		bpf_probe_read_kernel(&protocol, 1, ip + 9);
		return protocol == TCP ? ip + (first & 15) * 4 : 0;
	}
	if (first >> 4 != SIX)
		return 0;
	bpf_probe_read_kernel(&protocol, 1, ip + 6);
	return protocol == TCP ? ip + 40 : 0;
}

static __always_inline bool is_syn(const struct sk_buff *skb)
{
	unsigned char flags = 0;
	const unsigned char *tcp = tcp_of(skb->head + skb->network_header);
	if (!tcp)
		return false;
	bpf_probe_read_kernel(&flags, 1, tcp + 13);
	return (flags & SYN_ACK) == SYN;
}

/* The sender's, where there is one: then `dev` may hold something else (struct sk_buff's unions).
 */
static __always_inline const struct net *netns_of(const struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	if (sk)
		return sk->__sk_common.skc_net.net;
	struct net_device *dev = skb->dev;
	return dev ? dev->nd_net.net : NULL;
}

static __always_inline void count(const struct lp_drops_place *place)
{
	__u64 one = 1;
	__u64 *n = bpf_map_lookup_elem(&places, place);
	if (!n && bpf_map_update_elem(&places, place, &one, BPF_NOEXIST) == 0)
		return;
	if (!n)
		n = bpf_map_lookup_elem(&places, place); /* another CPU was first */
	__u32 key = 0;
	if (!n)
		n = bpf_map_lookup_elem(&lost, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* kfree_skb(skb, location, reason): arguments of the tracepoint, since Linux 5.17. */
SEC("tp_btf/kfree_skb")
int lp_drops_seen(__u64 *arguments)
{
	struct sk_buff *skb = (struct sk_buff *)arguments[0];
	__u64 netfilter = bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NETFILTER_DROP);
	if ((__u32)arguments[2] != netfilter || !is_syn(skb))
		return 0;
	const struct net *net = netns_of(skb);
	struct lp_drops_place place = {.location = arguments[1],
	                               .netns = net ? net->ns.inum : 0,
	                               .netns_cookie = net ? (__u32)net->net_cookie : 0};
	count(&place);
	return 0;
}
