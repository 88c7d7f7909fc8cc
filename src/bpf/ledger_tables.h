/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#pragma once

/* The ledger's tables, and the rows of processes and of sockets in them. */

#include "bpf/types.h"

#include "bpf/ledger.h"

/* How often a row is tried for that another processor is giving away. */
#define TRIES 4

#define SECOND_NS 1000000000ULL

/* Rows of `sockets` and sets of the other tables, less one: the sizes are chosen when the programs
 * are loaded. */
const volatile __u32 sockets_mask = 1, owners_mask = 1, searches_mask = 1, refusals_mask = 1;

#define TABLE(name, type_of_value)                   \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_ARRAY);    \
		__uint(map_flags, BPF_F_MMAPABLE);   \
		__uint(max_entries, 2);              \
		__type(key, __u32);                  \
		__type(value, struct type_of_value); \
	} name SEC(".maps")

TABLE(sockets, lp_ledger_socket);
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

/* What is high in it depends on all bits of both: bytes that tell addresses apart come last. */
static __always_inline __u64 mix(__u64 a, __u64 b)
{
	return (a ^ b ^ b >> 32) * 0x9e3779b97f4a7c15ULL; /* 2^64 by the golden ratio */
}

/*
 * The time as of this jiffy: reading the clock takes 24 ns, which is much here. Another processor
 * may see half of a change and be one jiffy behind.
 */
static __always_inline __u64 now_coarse(void)
{
	struct lp_ledger_control *c = controls();
	__u64 jiffies = bpf_jiffies64();
	if (!c)
		return 0;
	if (c->jiffies != jiffies) {
		c->now = bpf_ktime_get_ns();
		c->jiffies = jiffies;
	}
	return c->now;
}

/* ---- owners -------------------------------------------------------------------------------- */

static __always_inline void fill_process(struct lp_ledger_process *me, const struct sock *sk,
                                         const struct task_struct *task)
{
	me->start = task->group_leader->start_boottime;
	me->cgroup = bpf_get_current_cgroup_id();
	me->pid = (__u32)task->tgid;
	me->netns = sk->__sk_common.skc_net.net->ns.inum;
	me->netns_cookie = (__u32)sk->__sk_common.skc_net.net->net_cookie;
	me->zero = 0;
}

static __always_inline bool same_process(const struct lp_ledger_process *a,
                                         const struct lp_ledger_process *b)
{
	return a->start == b->start && a->pid == b->pid && a->netns == b->netns &&
	       a->netns_cookie == b->netns_cookie && a->cgroup == b->cgroup;
}

/* A program has another name after exec(), and may change it. */
static __always_inline void name_process(struct lp_ledger_owner *owner,
                                         const struct task_struct *task, __u64 now)
{
	const struct task_struct *leader = task->group_leader;
	if (owner->exec == leader->self_exec_id && owner->named + SECOND_NS > now)
		return;
	owner->exec = leader->self_exec_id;
	owner->named = now;
	bpf_probe_read_kernel(owner->command, sizeof(owner->command), leader->comm);
}

/* The row seen longest ago, or a free one. */
#define weigh_way(i)                                 \
	if (set->ways[i].seen < set->ways[way].seen) \
		way = i;

static __always_inline void forget_owner(const struct lp_ledger_owner *owner, __u64 seen, __u64 now)
{
	struct lp_ledger_control *c = controls();
	if (!c || !seen)
		return;
	if (seen + LP_LEDGER_TIME_WAIT_NS > now)
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
	forget_owner(owner, seen, now);
	owner->process = *me;
	owner->turn++;
	owner->named = 0;
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

/*
 * The name of a process's row, which is made if it is new. A function of its own, as those below:
 * the verifier goes through it once, and not once for each way to it.
 */
__noinline __u32 lp_ledger_owner_name(const struct lp_ledger_process *me, __u64 now)
{
	if (!me)
		return LP_LEDGER_NOBODY;
	__u64 hash = mix((__u64)me->netns << 32 | me->pid, me->cgroup);
	__u32 key = (__u32)(hash >> 32) & owners_mask;
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
	const struct task_struct *task = bpf_get_current_task_btf();
	fill_process(me, sk, task);
	*ret = lp_ledger_owner_name(me, now);
	__u32 row = *ret & LP_LEDGER_OWNER_MASK, key = row / LP_LEDGER_WAYS;
	struct lp_ledger_owner_set *set = bpf_map_lookup_elem(&owners, &key);
	if (!set || *ret == LP_LEDGER_NOBODY)
		return NULL;
	struct lp_ledger_owner *owner = &set->ways[row % LP_LEDGER_WAYS];
	if (owner->seen != now)
		owner->seen = now;
	name_process(owner, task, now);
	return owner;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static __always_inline struct lp_ledger_socket *socket_row(__u64 cookie, __u32 i)
{
	__u32 key = lp_ledger_row(cookie, i, sockets_mask);
	return bpf_map_lookup_elem(&sockets, &key);
}

#define match_row(i)                  \
	s = socket_row(cookie, i);    \
	if (s && s->cookie == cookie) \
		return s;

/* The row of a socket, or NULL. */
static __always_inline struct lp_ledger_socket *find_socket(__u64 cookie)
{
	struct lp_ledger_socket *s;
	if (!cookie)
		return NULL;
	each_way(match_row);
	return NULL;
}

/* What is free or over goes first, then what is there longest. cookie: as it was read, once. */
static __always_inline __u64 worth(const struct lp_ledger_socket *s, __u64 cookie, __u64 now)
{
	if (!cookie)
		return 0;
	if (cookie == LP_LEDGER_BUSY)
		return ~0ULL;
	return lp_ledger_is_over(s, now) ? 1 : s->since;
}

static __always_inline __u64 cookie_now(const struct lp_ledger_socket *s)
{
	return *(const volatile __u64 *)&s->cookie;
}

static __always_inline void forget_socket(const struct lp_ledger_socket *s)
{
	struct lp_ledger_control *c = controls();
	if (c && s->flags & LP_LEDGER_CLOSED_FIRST)
		count(c->lost_time_wait);
	else if (c)
		count(c->lost_open);
}

/* Only while it holds what was weighed: another processor may have taken it since. */
static __always_inline bool seize(struct lp_ledger_socket *s, __u64 was)
{
	return was != LP_LEDGER_BUSY &&
	       __sync_val_compare_and_swap(&s->cookie, was, LP_LEDGER_BUSY) == was;
}

#define weigh_row(i)                                    \
	s = socket_row(cookie, i);                      \
	has = s ? cookie_now(s) : 0;                    \
	if (s && (that = worth(s, has, now)) < least) { \
		least = that;                           \
		at = i;                                 \
		was = has;                              \
	}

/* Which row of a socket gives way, seized; LP_LEDGER_WAYS: others are at all of them. */
__noinline __u32 lp_ledger_seize(__u64 cookie, __u64 now)
{
	struct lp_ledger_socket *s;
	for (int i = 0; i < TRIES; i++) {
		__u64 has, that, was = 0, least = ~0ULL;
		__u32 at = LP_LEDGER_WAYS;
		each_way(weigh_row);
		s = socket_row(cookie, at);
		if (!s || !seize(s, was))
			continue;
		if (least > 1)
			forget_socket(s);
		return at;
	}
	struct lp_ledger_control *c = controls();
	if (c)
		count(c->busy);
	return LP_LEDGER_WAYS;
}

/* A row for a socket that has none. What is in it is to be set, then publish(). */
static __always_inline struct lp_ledger_socket *claim_socket(__u64 cookie, __u64 now)
{
	struct lp_ledger_socket *s = socket_row(cookie, 0);
	__u64 was = s ? cookie_now(s) : 0;
	if (s && worth(s, was, now) <= 1 && seize(s, was))
		return s;
	__u32 at = lp_ledger_seize(cookie, now);
	return at < LP_LEDGER_WAYS ? socket_row(cookie, at) : NULL;
}

static __always_inline void publish(struct lp_ledger_socket *s, __u64 cookie)
{
	__sync_lock_test_and_set(&s->cookie, cookie);
}
