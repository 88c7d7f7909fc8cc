/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#pragma once

/* To where a socket is connected, or was to be. */

#include "bpf/types.h"

#include "bpf/ledger.h"

static __always_inline void fill_destination(struct lp_ledger_destination *to,
                                             const struct sock *sk)
{
	enum { IPV4 = 2, IPV6 = 10 };
	const struct sock_common *common = &sk->__sk_common;
	__u32 *words = (__u32 *)to->remote;
	words[0] = common->skc_daddr;
	words[1] = words[2] = words[3] = 0;
	to->family = IPV4;
	to->port = bpf_ntohs(common->skc_dport);
	to->netns = common->skc_net.net->ns.inum;
	to->netns_cookie = (__u32)common->skc_net.net->net_cookie;
	to->ifindex = 0;
	if (!HAS_IPV6 || common->skc_family != IPV6)
		return;
	const __u32 *six = common->skc_v6_daddr.in6_u.u6_addr32;
	if (!six[0] && !six[1] && six[2] == bpf_htonl(0xffff)) {
		words[0] = six[3];
		return;
	}
	words[0] = six[0];
	words[1] = six[1];
	words[2] = six[2];
	words[3] = six[3];
	to->family = IPV6;
	if ((six[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000)) /* link-local */
		to->ifindex = (__u32)common->skc_bound_dev_if;
}

/*
 * A FIN may also be sent late, when the SYN of a socket that was shut down is answered: then
 * whatever task happens to run is no closer. Who is at it holds the socket's lock.
 */
static __always_inline bool is_task_at_it(const struct sock *sk)
{
	return sk->sk_lock.owned != 0;
}
