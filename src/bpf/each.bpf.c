// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Refused connects and first closers, one by one, into a ring: loaded for as long as a trace asks
 * for single events. How they are told is as in ledger.bpf.c.
 */

#include "bpf/destination.h"

#include "bpf/each.h"

enum {
	ESTABLISHED = 1,
	SYN_SENT = 2,
	FIN_WAIT1 = 4,
	CLOSE = 7,
	TCP = 6,
	SEARCHES = 16384,
};

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LP_EACH_ROOM);
} each_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lp_each_control);
} each_control SEC(".maps");

/* Sockets whose connect() looks for a port, or has sent its SYN. */
struct search {
	__u64 since;
	__u32 txhash;
	__u32 port; /* that bind() gave it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SEARCHES);
	__type(key, __u64);
	__type(value, struct search);
} each_searches SEC(".maps");

static __always_inline void tell(const struct sock *sk, __u32 what, __u64 took_ns)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct lp_each_event *event = bpf_ringbuf_reserve(&each_events, sizeof(*event), 0);
	if (!event) {
		__u32 key = 0;
		struct lp_each_control *control = bpf_map_lookup_elem(&each_control, &key);
		if (control)
			__sync_fetch_and_add(&control->lost, 1);
		return;
	}
	event->took_ns = took_ns;
	event->cgroup = bpf_get_current_cgroup_id();
	event->pid = (__u32)task->tgid;
	event->what = what;
	fill_destination(&event->to, sk);
	bpf_probe_read_kernel(event->command, sizeof(event->command), task->group_leader->comm);
	bpf_ringbuf_submit(event, 0);
}

static __always_inline bool is_wanted(const struct sock *sk)
{
	__u32 key = 0;
	struct lp_each_control *control = bpf_map_lookup_elem(&each_control, &key);
	return control &&
	       (!control->wanted || control->wanted == sk->__sk_common.skc_net.net->ns.inum);
}

static __always_inline void connect_begins(const struct sock *sk, __u64 key)
{
	struct search search = {.since = bpf_ktime_get_ns(),
	                        .txhash = sk->sk_txhash,
	                        .port = sk->__sk_common.skc_num};
	bpf_map_update_elem(&each_searches, &key, &search, BPF_ANY);
}

static __always_inline void connect_ends(const struct sock *sk, __u64 key, bool failed)
{
	const struct search *search = bpf_map_lookup_elem(&each_searches, &key);
	if (!search)
		return;
	if (failed && search->txhash == sk->sk_txhash)
		tell(sk, search->port ? LP_EACH_BOUND_PORT : LP_EACH_NO_PORT,
		     bpf_ktime_get_ns() - search->since);
	bpf_map_delete_elem(&each_searches, &key);
}

SEC("tp_btf/inet_sock_set_state")
int lp_each_state(__u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];
	int old = (int)arguments[1], new = (int)arguments[2];
	if (sk->sk_protocol != TCP || !is_wanted(sk))
		return 0;
	if (new == SYN_SENT)
		connect_begins(sk, (__u64)sk);
	else if (old == SYN_SENT && (new == CLOSE || new == ESTABLISHED))
		connect_ends(sk, (__u64)sk, new == CLOSE);
	else if (new == FIN_WAIT1 && old != FIN_WAIT1 &&is_task_at_it(sk))
		tell(sk, LP_EACH_CLOSED_FIRST, 0);
	return 0;
}
