/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few fields of the kernel's types that the programs read. Only the names count: where each
 * field lies is worked out for the running kernel when a program is loaded (CO-RE).
 */

/* linux/bpf.h comes first: the helpers' header uses what it defines */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
/* behind the helpers, whose declarations these use */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/* the same for all kernels: programs outside know it */
struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inet_ehash_bucket {
	struct hlist_nulls_head chain;
};

struct inet_bind_hashbucket {
	struct hlist_head chain;
};

struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
	struct inet_bind_hashbucket *bhash;
	unsigned int bhash_size;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct inet_timewait_death_row {
	refcount_t tw_refcount;
	struct inet_hashinfo *hashinfo;
	int sysctl_max_tw_buckets;
};

struct local_ports {
	__u32 range; /* high << 16 | low; since Linux 6.8 */
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct local_ports ip_local_ports;
	__u8 sysctl_tcp_tw_reuse;
	unsigned int sysctl_tcp_tw_reuse_delay; /* since Linux 6.14 */
	__u8 sysctl_tcp_timestamps;
	unsigned long *sysctl_local_reserved_ports;
};

struct proc_ns_operations;

struct ns_common {
	const struct proc_ns_operations *ops;
	unsigned int inum;
};

struct list_head {
	struct list_head *next;
};

struct net {
	struct list_head list;
	struct ns_common ns;
	__u64 net_cookie; /* since Linux 5.12 */
	struct netns_ipv4 ipv4;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	unsigned int flags;
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime; /* since Linux 5.5 */
	__u32 self_exec_id;
	char comm[16];
	struct nsproxy *nsproxy;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	union {
		__u64 skc_addrpair; /* both */
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	unsigned int skc_hash;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	struct hlist_node skc_bind_node;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr; /* these two with CONFIG_IPV6 only */
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
	struct hlist_nulls_node skc_nulls_node;
};

typedef struct {
	int owned;
} socket_lock_t;

struct inode {
	unsigned long i_ino;
};

struct socket {
	short type;
};

struct socket_alloc {
	struct socket socket; /* comes first */
	struct inode vfs_inode;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	int sk_err;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
	__u32 sk_txhash;
};

struct tcp_sock {
	__u64 tcp_mstamp;
	__u32 srtt_us;
	__u32 total_retrans;
	__u8 fastopen_connect : 1;
};

struct timer_list {
	unsigned long expires;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
	__u32 tw_entry_stamp; /* since Linux 6.14 */
	struct timer_list tw_timer;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	int tw_ts_recent_stamp;
};

struct inet_bind_bucket {
	possible_net_t ib_net;
	int l3mdev;
	unsigned short port;
	signed char fastreuse;
	signed char fastreuseport;
	struct hlist_node node;
	struct hlist_head bhash2; /* since Linux 6.9 */
};

struct inet_bind2_bucket {
	possible_net_t ib_net;
	unsigned short port;
	struct in6_addr v6_rcv_saddr;
	__be32 rcv_saddr; /* without CONFIG_IPV6, in place of the one before */
	struct hlist_node bhash_node;
	struct hlist_head owners;
};

#pragma clang attribute pop

/* Whether this kernel's sockets can have addresses of IPv6 (CONFIG_IPV6). */
#define HAS_IPV6 bpf_core_field_exists(((struct sock_common *)0)->skc_v6_daddr)

/* Since Linux 6.2: the address read as that type; a fault reads 0. */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym;
#define as(type, address) \
	((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

/*
 * False after some millions of rounds, and the verifier knows it, so that a loop needs no other
 * bound: the instruction may_goto (Linux 6.9), which this compiler has no name for. (It misplaces
 * a 16-bit difference of labels, so offset and immediate are written as 32 and 16.)
 */
static __always_inline bool rounds_left(void)
{
	asm goto("99: .byte 0xe5, 0\n\t"
	         ".long (%l[none] - 99b - 8) / 8 & 0xffff\n\t"
	         ".short 0" ::
	                 :
	         : none);
	return true;
none:
	return false;
}
