/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#pragma once

/* The chains of the table of connections, for sample.bpf.c: its map, and a walk along many. */

#include "bpf/types.h"

#include "bpf/sample.h"

enum { MASK = LP_SAMPLE_ROOM - 1 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LP_SAMPLE_WORKERS);
	__type(key, __u32);
	__type(value, struct lp_sample_out);
} sampled SEC(".maps");

static __always_inline struct lp_sample_out *out_of_map(__u32 worker)
{
	return bpf_map_lookup_elem(&sampled, &worker);
}

/* The compiler does not unroll these by itself. */
#define each_lane(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)
_Static_assert(LP_SAMPLE_LANES == 8, "each_lane() names them");
_Static_assert(LP_SAMPLE_BLOCK % LP_SAMPLE_LANES == 0, "no lane is left over");

/* Any eight bytes of the kernel's: by a type that has a number of that size. */
static __always_inline __u64 word_at(__u64 address)
{
	return as(struct sock_common,
	          address - bpf_core_field_offset(struct sock_common, skc_addrpair))
	        ->skc_addrpair;
}

#define offset_of(field) bpf_core_field_offset(struct sock_common, field)

/*
 * What lies side by side is read at once: the kernel checks each access, which costs more than the
 * access. The comparisons of offsets are settled when the program is loaded.
 */

/* Hash, remote port (in network order) and local port, from the lowest bit on. */
static __always_inline __u64 hash_and_ports(__u64 sk)
{
	if (offset_of(skc_dport) == offset_of(skc_hash) + 4 &&
	    offset_of(skc_num) == offset_of(skc_hash) + 6)
		return word_at(sk + offset_of(skc_hash));
	const struct sock_common *common = as(struct sock_common, sk);
	return common->skc_hash | (__u64)common->skc_dport << 32 | (__u64)common->skc_num << 48;
}

/*
 * Since Linux 6.15 the local port is added to the hash of the rest: what is left is
 * the same for a pool. A test turns that off.
 */
#ifndef LP_PORT_IN_HASH
#define LP_PORT_IN_HASH 1
#endif
static __always_inline __u32 base_of(__u64 word)
{
	return (__u32)word - LP_PORT_IN_HASH * (__u32)(word >> 48);
}

static __always_inline __u64 sk_of(__u64 node)
{
	return node - bpf_core_field_offset(struct sock_common, skc_nulls_node);
}

/* What was read is in the cache from here on. */
static __always_inline void touch(__u64 value)
{
	asm volatile("" ::"r"(value));
}

/* For the verifier what is read from memory is a number, and can be computed with. */
static __always_inline void forget_pointers(void)
{
	asm volatile("" ::: "memory");
}

/* Every cache line that will be read of a socket: one by one, each would be waited for (80 ns). */
static __always_inline void look_at(struct lp_sample_out *out, __u32 at)
{
	struct tcp_timewait_sock *tw = as(struct tcp_timewait_sock, out->socks[at]);
	out->next[at] = (__u64)tw->tw_sk.__tw_common.skc_nulls_node.next;
	touch(tw->tw_sk.__tw_common.skc_hash);
	touch(tw->tw_sk.tw_timer.expires);
	touch((__u32)tw->tw_ts_recent_stamp);
}

/*
 * A chain goes on with a node, or ends with a marker. A branch would wait for the memory. The sum
 * of the markers tells whether all are there.
 */
static __always_inline void go_on(struct lp_sample_out *out, __u64 node)
{
	__u64 end = node & 1;
	out->socks[out->n & MASK] = sk_of(node);
	out->n += 1 - end;
	out->ends += node * end;
}

#define begin_lane(i)                                                                           \
	number = (bucket + (i)) & mask;                                                         \
	out->next[i] = (__u64)as(struct inet_ehash_bucket, ehash + number * size)->chain.first; \
	ends += number * 2 + 1;
#define look_lane(i) look_at(out, at + (i));
#define go_lane(i)   go_on(out, out->next[at + (i)]);

static __always_inline void begin_chains(struct lp_sample_out *out, __u64 ehash, __u32 bucket,
                                         __u32 mask)
{
	const __u64 size = bpf_core_type_size(struct inet_ehash_bucket);
	const __u32 at = 0;
	__u64 number, ends = 0;
	each_lane(begin_lane);
	out->ends -= ends;
	forget_pointers();
	each_lane(go_lane);
}

/* Looks at a few nodes more than there are: some older addresses, and harmless. */
static __always_inline void look_ahead(struct lp_sample_out *out)
{
	__u32 at = out->looked & MASK;
	each_lane(look_lane);
}

static __always_inline void go_ahead(struct lp_sample_out *out)
{
	__u32 at = out->k & MASK;
	each_lane(go_lane);
}

/*
 * Functions that are not static are verified once, by themselves, however often they are called:
 * the rest of the program takes the kernel a third of the time to check.
 */

/*
 * Walks the chains of so many buckets side by side, the first node of each, the second …, and notes
 * them. 0: a chain changed, or they are too many.
 */
__noinline int lp_walk_buckets(__u32 worker, __u64 ehash, __u32 bucket, __u32 buckets, __u32 mask)
{
	struct lp_sample_out *out = out_of_map(worker);
	if (!out)
		return 0;
	out->n = 0;
	out->k = 0;
	out->ends = 0;
	for (out->j = 0; out->j < buckets && rounds_left(); out->j += LP_SAMPLE_LANES)
		begin_chains(out, ehash, bucket + out->j, mask);
	while (out->k < out->n && out->n <= LP_SAMPLE_FULL && rounds_left()) {
		out->j = out->n;
		for (out->looked = out->k; out->looked < out->j && rounds_left();
		     out->looked += LP_SAMPLE_LANES)
			look_ahead(out);
		for (; out->k + LP_SAMPLE_LANES <= out->j && rounds_left();
		     out->k += LP_SAMPLE_LANES)
			go_ahead(out);
		for (; out->k < out->j && rounds_left(); out->k++)
			go_on(out, out->next[out->k & MASK]);
	}
	return out->k == out->n && !out->ends;
}
