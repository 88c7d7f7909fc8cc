/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#pragma once

/* The ledger's tables, and the rows of processes and of sockets in them. */

#include "bpf/types.h"

#include "bpf/ledger.h"

/* How often a row is tried for that another processor is giving away. */
#define TRIES 4

#define TIME_WAIT_NS 61000000000ULL
#define MINUTE_NS    60000000000ULL

/* Sets of each table less one: the sizes are chosen when the programs are loaded. */
const volatile __u32 sockets_mask = 1, owners_mask = 1, searches_mask = 1, refusals_mask = 1;

#define TABLE(name, type_of_set)                   \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, 2);            \
		__type(key, __u32);                \
		__type(value, struct type_of_set); \
	} name SEC(".maps")

TABLE(sockets, lp_ledger_socket_set);
TABLE(owners, lp_ledger_owner_set);
TABLE(searches, lp_ledger_search_set);
TABLE(refusals, lp_ledger_refused_set);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lp_ledger_control);
} control SEC(".maps");

#define each_way(what) what(0) what(1) what(2) what(3)
_Static_assert(LP_LEDGER_WAYS == 4, "each_way() names them");

#define count(field) __sync_fetch_and_add(&(field), 1)

static __always_inline struct lp_ledger_control *controls(void)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&control, &key);
}

/* Each bit of both weighs on all: addresses differ in their last bytes, which are the high ones. */
static __always_inline __u32 mix(__u32 a, __u32 b)
{
	__u64 product = (a ^ b) * 0x9e3779b97f4a7c15ULL; /* 2^64 by the golden ratio */
	return (__u32)(product >> 32 ^ product);
}

/* ---- owners -------------------------------------------------------------------------------- */

static __always_inline void fill_process(struct lp_ledger_process *me, const struct sock *sk,
                                         const struct task_struct *task)
{
	const struct task_struct *leader = task->group_leader;
	me->start = leader->start_boottime;
	me->cgroup = bpf_get_current_cgroup_id();
	me->pid = (__u32)task->tgid;
	me->netns = sk->__sk_common.skc_net.net->ns.inum;
	bpf_probe_read_kernel(me->command, sizeof(me->command), leader->comm);
}

static __always_inline bool same_process(const struct lp_ledger_process *a,
                                         const struct lp_ledger_process *b)
{
	return a->start == b->start && a->pid == b->pid && a->netns == b->netns &&
	       a->cgroup == b->cgroup;
}

#define AS_U64(text, i) (((__u64 *)(text))[i])

/* A program may change its name, above all by exec(). */
static __always_inline void rename_process(struct lp_ledger_process *row,
                                           const struct lp_ledger_process *me)
{
	if (AS_U64(row->command, 0) != AS_U64(me->command, 0))
		AS_U64(row->command, 0) = AS_U64(me->command, 0);
	if (AS_U64(row->command, 1) != AS_U64(me->command, 1))
		AS_U64(row->command, 1) = AS_U64(me->command, 1);
}

/* The row seen longest ago, or a free one. */
#define weigh_way(i)                                 \
	if (set->ways[i].seen < set->ways[way].seen) \
		way = i;

static __always_inline void forget_owner(const struct lp_ledger_owner *owner, __u64 now)
{
	struct lp_ledger_control *c = controls();
	if (!c)
		return;
	if (owner->seen + TIME_WAIT_NS > now)
		count(c->lost_owners);
	__sync_fetch_and_add(&c->gone_opened, owner->opened);
	__sync_fetch_and_add(&c->gone_closed_first, owner->closed_first);
	__sync_fetch_and_add(&c->gone_refused, owner->refused);
}

static __always_inline bool give_owner(struct lp_ledger_owner *owner,
                                       const struct lp_ledger_process *me, __u64 now)
{
	__u64 seen = owner->seen;
	if (seen == LP_LEDGER_BUSY ||
	    __sync_val_compare_and_swap(&owner->seen, seen, LP_LEDGER_BUSY) != seen)
		return false;
	if (seen) {
		struct lp_ledger_owner old = {.seen = seen,
		                              .opened = owner->opened,
		                              .closed_first = owner->closed_first,
		                              .refused = owner->refused};
		forget_owner(&old, now);
	}
	owner->process = *me;
	owner->turn++;
	owner->opened = 0;
	owner->closed_first = 0;
	owner->refused = 0;
	__sync_lock_test_and_set(&owner->seen, now);
	return true;
}

static __always_inline __u32 name_owner(__u32 set, __u32 way, __u32 turn)
{
	return (set * LP_LEDGER_WAYS + way) | turn << LP_LEDGER_OWNER_BITS;
}

#define try_way(i)                                                      \
	if (set->ways[i].seen && set->ways[i].seen != LP_LEDGER_BUSY && \
	    same_process(&set->ways[i].process, me)) {                  \
		return name_owner(key, i, set->ways[i].turn);           \
	}

/* The name of a process's row, which is made if it is new. A function that the verifier goes
 * through once, whoever calls it, as those below. */
__noinline __u32 lp_ledger_owner_name(const struct lp_ledger_process *me, __u64 now)
{
	if (!me)
		return LP_LEDGER_NOBODY;
	__u32 hash = mix(me->pid, mix(me->netns, (__u32)me->cgroup));
	__u32 key = (hash >> 12) & owners_mask;
	struct lp_ledger_owner_set *set = bpf_map_lookup_elem(&owners, &key);
	if (!set)
		return LP_LEDGER_NOBODY;
	each_way(try_way);
	for (int i = 0; i < TRIES; i++) {
		__u32 way = 0;
		weigh_way(1) weigh_way(2) weigh_way(3);
		way &= LP_LEDGER_WAYS - 1;
		if (give_owner(&set->ways[way], me, now))
			return name_owner(key, way, set->ways[way].turn);
	}
	return LP_LEDGER_NOBODY;
}

/* The row of who is at it: the task that runs this. */
static __always_inline struct lp_ledger_owner *current_owner(const struct sock *sk, __u64 now,
                                                             struct lp_ledger_process *me,
                                                             __u32 *ret)
{
	fill_process(me, sk, bpf_get_current_task_btf());
	*ret = lp_ledger_owner_name(me, now);
	__u32 row = *ret & LP_LEDGER_OWNER_MASK, key = row / LP_LEDGER_WAYS;
	struct lp_ledger_owner_set *set = bpf_map_lookup_elem(&owners, &key);
	if (!set || *ret == LP_LEDGER_NOBODY)
		return NULL;
	struct lp_ledger_owner *owner = &set->ways[row % LP_LEDGER_WAYS];
	owner->seen = now;
	rename_process(&owner->process, me);
	return owner;
}

/* ---- sockets ------------------------------------------------------------------------------- */

#define match_way(i)                       \
	if (set->ways[i].cookie == cookie) \
		return &set->ways[i];

static __always_inline struct lp_ledger_socket *find_socket(__u64 cookie)
{
	__u32 key = (__u32)cookie & sockets_mask;
	struct lp_ledger_socket_set *set = bpf_map_lookup_elem(&sockets, &key);
	if (!set || !cookie)
		return NULL;
	each_way(match_way);
	return NULL;
}

static __always_inline bool is_over(const struct lp_ledger_socket *s, __u64 now)
{
	__u64 life = s->flags & LP_LEDGER_FIN_WAIT2 ? 2 * TIME_WAIT_NS : TIME_WAIT_NS;
	return s->flags & LP_LEDGER_TIME_WAIT && s->since + life < now;
}

/* What is free or over goes first, then what is there longest: of others than TIME_WAIT, whose
 * owner nothing else tells, that is whoever holds them. */
static __always_inline __u64 worth(const struct lp_ledger_socket *s, __u64 now)
{
	if (!s->cookie)
		return 0;
	if (s->cookie == LP_LEDGER_BUSY)
		return ~0ULL;
	return is_over(s, now) ? 1 : s->since;
}

static __always_inline void forget_socket(const struct lp_ledger_socket *s)
{
	struct lp_ledger_control *c = controls();
	if (c && s->flags & LP_LEDGER_CLOSED_FIRST)
		count(c->lost_time_wait);
	else if (c)
		count(c->lost_open);
}

#define weigh_socket(i)                   \
	that = worth(&set->ways[i], now); \
	if (that < least) {               \
		least = that;             \
		way = i;                  \
	}

/* The way of a row for a socket that has none, marked busy; LP_LEDGER_WAYS: all are. */
__noinline __u32 lp_ledger_claim(__u64 cookie, __u64 now)
{
	__u32 key = (__u32)cookie & sockets_mask;
	struct lp_ledger_socket_set *set = bpf_map_lookup_elem(&sockets, &key);
	for (int i = 0; set && i < TRIES; i++) {
		__u32 way = 0;
		__u64 that, least = worth(&set->ways[0], now);
		weigh_socket(1) weigh_socket(2) weigh_socket(3);
		struct lp_ledger_socket *s = &set->ways[way & (LP_LEDGER_WAYS - 1)];
		__u64 was = s->cookie;
		if (was == LP_LEDGER_BUSY ||
		    __sync_val_compare_and_swap(&s->cookie, was, LP_LEDGER_BUSY) != was)
			continue;
		if (least > 1)
			forget_socket(s);
		return way;
	}
	struct lp_ledger_control *c = controls();
	if (c)
		count(c->busy);
	return LP_LEDGER_WAYS;
}

/* A row of its own for a socket that has none. What is in it is to be set, then publish(). */
static __always_inline struct lp_ledger_socket *claim_socket(__u64 cookie, __u64 now)
{
	__u32 key = (__u32)cookie & sockets_mask, way = lp_ledger_claim(cookie, now);
	struct lp_ledger_socket_set *set = bpf_map_lookup_elem(&sockets, &key);
	if (!set || way >= LP_LEDGER_WAYS)
		return NULL;
	return &set->ways[way];
}

static __always_inline void publish(struct lp_ledger_socket *s, __u64 cookie)
{
	__sync_lock_test_and_set(&s->cookie, cookie);
}

static __always_inline __u64 cookie_of(struct sock *sk)
{
	__u64 cookie = (__u64)sk->__sk_common.skc_cookie.counter;
	return cookie ? cookie : bpf_get_socket_cookie(sk);
}
