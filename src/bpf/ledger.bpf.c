// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Remembers who opened and who closed each TCP socket, and counts the connects that were refused
 * for want of a port. One hook: each further one costs every connection of the machine.
 *
 * What a change of state tells (net/ipv4/tcp_ipv4.c, tcp_ipv6.c, tcp.c, tcp_minisocks.c):
 *
 * - CLOSE to SYN_SENT: connect() begins to look for a port, in the task that called it.
 * - SYN_SENT to CLOSE with the sk_txhash of before: the search failed. What can fail later comes
 *   behind sk_set_txhash(), whatever became of the socket before.
 * - SYN_SENT to ESTABLISHED: the SYN was answered. It was sent at tcp_mstamp less the first round
 *   trip, which is all that srtt_us holds so far; so the search took from connect() until then.
 * - to FIN_WAIT1: this side closes first, in the task that called close() or shutdown(), or ends.
 *   From FIN_WAIT1 again it comes with each close() behind a shutdown() whose FIN is not
 *   acknowledged yet (tcp_close_state()): whoever that is, was not first.
 * - FIN_WAIT2 or CLOSING to CLOSE without an error: it becomes a TIME_WAIT.
 */

#include "bpf/ledger_counts.h"

enum {
	ESTABLISHED = 1,
	SYN_SENT = 2,
	FIN_WAIT1 = 4,
	FIN_WAIT2 = 5,
	CLOSE = 7,
	CLOSING = 11,

	TCP = 6,
	SOCK_DONE = 1 << 1, /* sk_flags: the other side's FIN came */
	PF_EXITING = 4,
};

char _license[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u64 known_cookie(const struct sock *sk)
{
	return (__u64)sk->__sk_common.skc_cookie.counter;
}

/* The row of a socket, or a new one, which then is to be published. */
static __always_inline struct lp_ledger_socket *row_of(struct sock *sk, __u64 now, __u64 *ret,
                                                       bool *fresh)
{
	struct lp_ledger_socket *s = NULL;
	*ret = known_cookie(sk);
	if (*ret)
		s = find_socket(*ret);
	else
		*ret = bpf_get_socket_cookie(sk);
	*fresh = !s;
	return s ? s : claim_socket(*ret, now);
}

static __always_inline void connect_begins(struct sock *sk)
{
	__u64 now = now_coarse(), cookie;
	struct lp_ledger_process me;
	__u32 opener;
	bool fresh; /* else it was connected before: its TIME_WAIT may be there */
	struct lp_ledger_owner *owner = current_owner(sk, now, &me, &opener);
	if (owner)
		count(owner->opened);
	struct lp_ledger_socket *s = row_of(sk, now, &cookie, &fresh);
	if (!s)
		return;
	if (fresh) {
		s->closer = LP_LEDGER_NOBODY;
		s->flags = 0;
	}
	s->opener = opener;
	s->txhash = sk->sk_txhash;
	s->port = sk->__sk_common.skc_num;
	s->flags |= LP_LEDGER_SEARCHING;
	s->since = bpf_ktime_get_ns();
	if (fresh)
		publish(s, cookie);
}

static __always_inline void connect_ends(struct sock *sk)
{
	struct lp_ledger_socket *s = find_socket(known_cookie(sk));
	if (!s || !(s->flags & LP_LEDGER_SEARCHING))
		return;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	__u64 now = tcp->tcp_mstamp * 1000, sent = now - (tcp->srtt_us >> 3) * 1000ULL;
	bool measured = tcp->srtt_us && !tcp->total_retrans &&
	                !BPF_CORE_READ_BITFIELD(tcp, fastopen_connect);
	struct lp_ledger_destination to;
	fill_destination(&to, sk);
	note_search(&to, measured, sent > s->since ? sent - s->since : 0, now);
	s->flags &= ~LP_LEDGER_SEARCHING;
}

/* The task that closes the socket, with `flags`; LP_LEDGER_NOBODY where none is at it. */
static __always_inline __u32 closer_of(const struct sock *sk, __u64 now, __u8 *flags)
{
	struct lp_ledger_process me;
	__u32 closer = LP_LEDGER_NOBODY;
	struct lp_ledger_owner *owner = NULL;
	if (is_task_at_it(sk))
		owner = current_owner(sk, now, &me, &closer);
	if (!owner) {
		struct lp_ledger_control *c = controls();
		if (c)
			count(c->unowned);
		return LP_LEDGER_NOBODY;
	}
	count(owner->closed_first);
	if (bpf_get_current_task_btf()->flags & PF_EXITING)
		*flags |= LP_LEDGER_EXITED;
	return closer;
}

static __always_inline void closes_first(struct sock *sk)
{
	__u64 now = now_coarse(), cookie;
	__u8 flags = LP_LEDGER_CLOSED_FIRST;
	__u32 closer = closer_of(sk, now, &flags);
	bool fresh;
	struct lp_ledger_socket *s = row_of(sk, now, &cookie, &fresh);
	if (!s)
		return;
	if (fresh)
		s->opener = LP_LEDGER_NOBODY;
	s->since = now;
	s->closer = closer;
	s->flags = flags;
	if (fresh)
		publish(s, cookie);
}

static __always_inline void becomes_time_wait(struct sock *sk, struct lp_ledger_socket *s, int old)
{
	__u8 flags = LP_LEDGER_TIME_WAIT;
	if (old == FIN_WAIT2 && !(sk->__sk_common.skc_flags & SOCK_DONE))
		flags |= LP_LEDGER_FIN_WAIT2;
	s->since = now_coarse();
	s->flags |= flags;
}

static __always_inline void ends(struct sock *sk, int old)
{
	struct lp_ledger_socket *s = find_socket(known_cookie(sk));
	if (!s)
		return;
	if ((old == FIN_WAIT2 || old == CLOSING) && !sk->sk_err) {
		becomes_time_wait(sk, s, old);
		return;
	}
	if (old == SYN_SENT && s->flags & LP_LEDGER_SEARCHING && s->txhash == sk->sk_txhash)
		note_refused(sk, s);
	if (s->flags & LP_LEDGER_TIME_WAIT) {
		s->flags &= ~LP_LEDGER_SEARCHING; /* of the connection before this one */
		return;
	}
	s->cookie = 0;
}

static __always_inline void closes_too(struct sock *sk)
{
	struct lp_ledger_socket *s = find_socket(known_cookie(sk));
	if (s)
		s->flags |= LP_LEDGER_CLOSED_BOTH;
}

SEC("tp_btf/inet_sock_set_state")
int lp_ledger_state(__u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];
	int old = (int)arguments[1], new = (int)arguments[2];
	if (new == ESTABLISHED && old != SYN_SENT)
		return 0;
	if (sk->sk_protocol != TCP)
		return 0;
	if (new == CLOSE)
		ends(sk, old);
	else if (new == SYN_SENT)
		connect_begins(sk);
	else if (new == FIN_WAIT1 && old != FIN_WAIT1)
		closes_first(sk);
	else if (new == ESTABLISHED)
		connect_ends(sk);
	else if (new == CLOSING)
		closes_too(sk);
	return 0;
}
