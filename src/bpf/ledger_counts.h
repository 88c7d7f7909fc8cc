/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#pragma once

/* What the ledger counts by destination: how long connects looked for a port, and who was refused.
 */

#include "bpf/ledger_tables.h"
/* behind the types */
#include "bpf/destination.h"

/* ---- destinations -------------------------------------------------------------------------- */

#define as_u64(bytes, i) (((const __u64 *)(bytes))[i])

static __always_inline bool same_destination(const struct lp_ledger_destination *a,
                                             const struct lp_ledger_destination *b)
{
	return as_u64(a, 0) == as_u64(b, 0) && as_u64(a, 1) == as_u64(b, 1) &&
	       as_u64(a, 2) == as_u64(b, 2) && as_u64(a, 3) == as_u64(b, 3);
}

static __always_inline __u64 hash_destination(const struct lp_ledger_destination *to)
{
	return mix(as_u64(to, 3), mix(as_u64(to, 0), mix(as_u64(to, 1), as_u64(to, 2))));
}

/* ---- how long the search took -------------------------------------------------------------- */

static __always_inline __u32 bucket_of(__u64 ns)
{
	__u64 left = ns >> 10;
	__u32 bucket = 0;
	if (left >> 32)
		return LP_LEDGER_TIMES - 1;
#define halve(bits)               \
	if (left >> (bits)) {     \
		left >>= (bits);  \
		bucket += (bits); \
	}
	halve(16) halve(8) halve(4) halve(2) halve(1);
	bucket += left != 0;
	return bucket < LP_LEDGER_TIMES ? bucket : LP_LEDGER_TIMES - 1;
}

static __always_inline __u64 connects_of(const struct lp_ledger_search *row)
{
	__u64 n = row->unmeasured;
#pragma clang loop unroll(full)
	for (int i = 0; i < LP_LEDGER_TIMES; i++)
		n += row->times[i] + row->recent[0][i] + row->recent[1][i];
	return n;
}

static __always_inline bool give_search(struct lp_ledger_search *row,
                                        const struct lp_ledger_destination *to)
{
	__u64 seen = row->seen;
	if (seen == LP_LEDGER_BUSY ||
	    __sync_val_compare_and_swap(&row->seen, seen, LP_LEDGER_BUSY) != seen)
		return false;
	struct lp_ledger_control *c = controls();
	if (c && seen)
		__sync_fetch_and_add(&c->lost_searches, connects_of(row));
	__builtin_memset((char *)row + sizeof(row->seen), 0, sizeof(*row) - sizeof(row->seen));
	row->to = *to;
	return true;
}

#define try_row(i)                                                      \
	if (set->ways[i].seen && set->ways[i].seen != LP_LEDGER_BUSY && \
	    same_destination(&set->ways[i].to, to))                     \
		return key * LP_LEDGER_WAYS + (i);

/* The row of a destination, made if it is new; LP_LEDGER_NOBODY where all are given away. */
__noinline __u32 lp_ledger_search_row(const struct lp_ledger_destination *to, __u64 now)
{
	if (!to)
		return LP_LEDGER_NOBODY;
	__u32 key = (__u32)(mix(0, hash_destination(to)) >> 32) & searches_mask;
	struct lp_ledger_search_set *set = bpf_map_lookup_elem(&searches, &key);
	if (!set)
		return LP_LEDGER_NOBODY;
	each_way(try_row);
	for (int i = 0; i < TRIES; i++) {
		__u32 way = 0;
		weigh_way(1) weigh_way(2) weigh_way(3);
		way &= LP_LEDGER_WAYS - 1;
		if (give_search(&set->ways[way], to)) {
			__sync_lock_test_and_set(&set->ways[way].seen, now);
			return key * LP_LEDGER_WAYS + way;
		}
	}
	return LP_LEDGER_NOBODY;
}

static __always_inline struct lp_ledger_search *find_search(const struct lp_ledger_destination *to,
                                                            __u64 now)
{
	__u32 row = lp_ledger_search_row(to, now), key = row / LP_LEDGER_WAYS;
	struct lp_ledger_search_set *set = bpf_map_lookup_elem(&searches, &key);
	return set ? &set->ways[row % LP_LEDGER_WAYS] : NULL;
}

/* A stretch that is over goes to those before, whoever goes on counting in it meanwhile. */
static __noinline void fold_stretch(struct lp_ledger_search *row, __u32 slot)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < LP_LEDGER_TIMES; i++) {
		__u32 n = __sync_lock_test_and_set(&row->recent[slot & 1][i], 0);
		if (n)
			__sync_fetch_and_add(&row->times[i], n);
	}
}

static __always_inline void count_time(struct lp_ledger_search *row, __u64 ns, __u64 now)
{
	__u32 stretch = (__u32)(now >> LP_LEDGER_STRETCH_BITS), slot = stretch & 1;
	__u32 was = row->stretch[slot], bucket = bucket_of(ns);
	if (was != stretch && __sync_val_compare_and_swap(&row->stretch[slot], was, stretch) == was)
		fold_stretch(row, slot);
	__sync_fetch_and_add(&row->total_ns, ns);
	if (bucket < LP_LEDGER_TIMES)
		count(row->recent[slot][bucket]);
}

/* `measured` false: only that there was one. */
static __always_inline void note_search(const struct lp_ledger_destination *to, bool measured,
                                        __u64 ns, __u64 now)
{
	struct lp_ledger_search *row = find_search(to, now);
	if (!row) {
		struct lp_ledger_control *c = controls();
		if (c)
			count(c->lost_searches);
		return;
	}
	row->seen = now;
	if (measured)
		count_time(row, ns, now);
	else
		count(row->unmeasured);
}

/* ---- refused connects ---------------------------------------------------------------------- */

static __always_inline bool give_refused(struct lp_ledger_refused *row,
                                         const struct lp_ledger_destination *to,
                                         const struct lp_ledger_process *me, __u64 now)
{
	__u64 seen = row->seen;
	if (seen == LP_LEDGER_BUSY ||
	    __sync_val_compare_and_swap(&row->seen, seen, LP_LEDGER_BUSY) != seen)
		return false;
	struct lp_ledger_control *c = controls();
	if (c && seen)
		__sync_fetch_and_add(&c->lost_refused, row->no_port + row->bound_port);
	__builtin_memset((char *)row + sizeof(row->seen), 0, sizeof(*row) - sizeof(row->seen));
	row->to = *to;
	row->process = *me;
	row->first = now;
	__sync_lock_test_and_set(&row->seen, now);
	return true;
}

#define try_refused(i)                                                                         \
	if (set->ways[i].seen && set->ways[i].seen != LP_LEDGER_BUSY &&                        \
	    same_destination(&set->ways[i].to, to) && same_process(&set->ways[i].process, me)) \
		return key * LP_LEDGER_WAYS + (i);

__noinline __u32 lp_ledger_refused_row(const struct lp_ledger_destination *to,
                                       const struct lp_ledger_process *me, __u64 now)
{
	if (!to || !me)
		return LP_LEDGER_NOBODY;
	__u32 key = (__u32)(mix(me->pid, hash_destination(to)) >> 32) & refusals_mask;
	struct lp_ledger_refused_set *set = bpf_map_lookup_elem(&refusals, &key);
	if (!set)
		return LP_LEDGER_NOBODY;
	each_way(try_refused);
	for (int i = 0; i < TRIES; i++) {
		__u32 way = 0;
		weigh_way(1) weigh_way(2) weigh_way(3);
		way &= LP_LEDGER_WAYS - 1;
		if (give_refused(&set->ways[way], to, me, now))
			return key * LP_LEDGER_WAYS + way;
	}
	return LP_LEDGER_NOBODY;
}

static __always_inline struct lp_ledger_refused *find_refused(
        const struct lp_ledger_destination *to, const struct lp_ledger_process *me, __u64 now)
{
	__u32 row = lp_ledger_refused_row(to, me, now), key = row / LP_LEDGER_WAYS;
	struct lp_ledger_refused_set *set = bpf_map_lookup_elem(&refusals, &key);
	return set ? &set->ways[row % LP_LEDGER_WAYS] : NULL;
}

static __always_inline void note_refused(struct sock *sk, const struct lp_ledger_socket *s)
{
	struct lp_ledger_destination to;
	struct lp_ledger_process me;
	__u64 now = bpf_ktime_get_ns(), took = now - s->since;
	__u32 name;
	fill_destination(&to, sk);
	note_search(&to, true, took, now);
	struct lp_ledger_owner *owner = current_owner(sk, now, &me, &name);
	if (owner)
		count(owner->refused);
	struct lp_ledger_refused *row = find_refused(&to, &me, now);
	if (!row || !owner) {
		struct lp_ledger_control *c = controls();
		if (c)
			count(c->lost_refused);
		return;
	}
	__builtin_memcpy(row->command, owner->command, sizeof(row->command));
	row->seen = now;
	__sync_fetch_and_add(&row->total_ns, took);
	if (s->port)
		count(row->bound_port);
	else
		count(row->no_port);
}
