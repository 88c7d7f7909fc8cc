/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What ledger.bpf.c writes and src/kernel/ledger.c reads: plain arrays that are mapped, so that
 * neither side pays a call for an entry. A key has a few rows that it may be in; where all are
 * another's, the one that matters least gives way, which is counted.
 *
 * A change here that an older program or reader would misread raises LP_LEDGER_VERSION.
 */

#include <linux/types.h>

#define LP_LEDGER_VERSION 3

/* Below the BPF file system: maps and the link are pinned in it under their names. */
#define LP_LEDGER_FOLDER "lastport"
#define LP_LEDGER_PINNED "ledger"

#define LP_LEDGER_WAYS 4

/* An owner's row is named by its number and, above, how often the row was given away. */
#define LP_LEDGER_OWNER_BITS 20
#define LP_LEDGER_OWNER_MASK ((1U << LP_LEDGER_OWNER_BITS) - 1)
#define LP_LEDGER_NOBODY     (~0U)

/* Stands for the cookie, or in `seen`, while a row is being given to another one. */
#define LP_LEDGER_BUSY (1ULL << 62)

enum {
	LP_LEDGER_SEARCHING = 1 << 0,    /* connect() looks for a port, or has sent its SYN */
	LP_LEDGER_CLOSED_FIRST = 1 << 1, /* this side's FIN went first: `closer` is by whom */
	LP_LEDGER_CLOSED_BOTH = 1 << 2,  /* … and the other's before it was seen */
	LP_LEDGER_TIME_WAIT = 1 << 3,    /* became a TIME_WAIT at `since` */
	LP_LEDGER_FIN_WAIT2 = 1 << 4,    /* … kept so until the other side closes, at most 60 s */
	LP_LEDGER_EXITED = 1 << 5,       /* the closer did not call close(): it ended */
};

/*
 * A socket by its cookie, which a TIME_WAIT keeps. Cookies count up, so the first row that one may
 * be in is next to that of the one before: what is written lately lies close together.
 */
struct lp_ledger_socket {
	__u64 cookie; /* 0: free */
	__u64 since;  /* ns of CLOCK_MONOTONIC: connect(), close(), TIME_WAIT, whichever was last */
	__u32 opener; /* who called connect(), or LP_LEDGER_NOBODY: accepted, or not seen */
	__u32 closer;
	__u32 txhash; /* while searching: that of the socket before */
	__u16 port;   /* that bind() gave it before connect(), or 0 */
	__u8 flags;
	__u8 zero;
};
_Static_assert(sizeof(struct lp_ledger_socket) == 32, "the same for both sides");

/* The row that is tried as the i-th of LP_LEDGER_WAYS; mask: rows less one. */
static inline __u32 lp_ledger_row(__u64 cookie, __u32 i, __u32 mask)
{
	__u32 low = (__u32)cookie;
	return i ? ((low * 0x9e3779b1U >> 7) + i * 0x3c6ef372U) & mask : low & mask;
}

/* A TIME_WAIT's minute, and another one before it where FIN_WAIT2 was kept so. */
#define LP_LEDGER_TIME_WAIT_NS 61000000000ULL

/* Whether the TIME_WAIT is gone, so that the row is free. now: ns of the kernel's CLOCK_MONOTONIC.
 */
static inline int lp_ledger_is_over(const struct lp_ledger_socket *s, __u64 now)
{
	__u64 life = LP_LEDGER_TIME_WAIT_NS * (s->flags & LP_LEDGER_FIN_WAIT2 ? 2 : 1);
	return s->flags & LP_LEDGER_TIME_WAIT && s->since + life < now;
}

/* A process in a namespace and a cgroup. */
struct lp_ledger_process {
	__u64 start;  /* ns since boot when it began: /proc/PID/stat's starttime, in ticks there */
	__u64 cgroup; /* id: the inode in the cgroup 2 file system */
	__u32 pid;    /* as the initial PID namespace numbers it */
	/* the namespace that its sockets are in: the kernel gives an inode out again at once */
	__u32 netns;        /* inode */
	__u32 netns_cookie; /* the low half of what SO_NETNS_COOKIE tells */
	__u32 zero;
};
_Static_assert(sizeof(struct lp_ledger_process) == 32, "the same for both sides");

struct lp_ledger_owner {
	__u64 seen; /* ns of CLOCK_MONOTONIC: last; 0: free; or LP_LEDGER_BUSY */
	struct lp_ledger_process process;
	__u32 turn;         /* how often the row was given away */
	__u32 exec;         /* how often the process had called exec() when its name was read … */
	__u64 named;        /* … and when that was */
	__u64 opened;       /* connect() that began */
	__u64 closed_first; /* sockets whose FIN went first, by this process */
	char command[16];
	__u64 refused; /* connect() without a port */
	__u64 spare[4];
};
_Static_assert(sizeof(struct lp_ledger_owner) == 128, "two lines of the cache");

struct lp_ledger_owner_set {
	struct lp_ledger_owner ways[LP_LEDGER_WAYS];
};

/* Addresses in network order; IPv4, mapped or not: the first four bytes. Ports in host order. */
struct lp_ledger_destination {
	__u8 remote[16];
	__u32 netns;   /* as a process's */
	__u32 ifindex; /* the scope of a link-local IPv6 address; else 0 */
	__u16 port;
	__u16 family; /* AF_INET or AF_INET6; 0: free */
	__u32 netns_cookie;
};
_Static_assert(sizeof(struct lp_ledger_destination) == 32, "the same for both sides");

/* How long connect() looked for a port: [i] below 2^(i+10) ns, and the last what took longer. */
#define LP_LEDGER_TIMES 24

/* The last two stretches of 2^36 ns (69 s) are kept apart. */
#define LP_LEDGER_STRETCH_BITS 36

struct lp_ledger_search {
	__u64 seen; /* as an owner's */
	struct lp_ledger_destination to;
	__u64 total_ns;
	__u64 unmeasured; /* answered only when the SYN was sent again, or by TCP Fast Open */
	/* those of the stretches `stretch` (CLOCK_MONOTONIC >> 36), by its last bit */
	__u32 stretch[2];
	__u32 recent[2][LP_LEDGER_TIMES];
	__u64 times[LP_LEDGER_TIMES]; /* of all stretches before: 32 bits are full in days */
};
_Static_assert(sizeof(struct lp_ledger_search) == 448, "the same for both sides");

struct lp_ledger_search_set {
	struct lp_ledger_search ways[LP_LEDGER_WAYS];
};

/* Connects of a process to a destination that were refused for want of a port. */
struct lp_ledger_refused {
	__u64 seen; /* as an owner's */
	struct lp_ledger_destination to;
	struct lp_ledger_process process;
	char command[16];
	__u64 first;      /* ns of CLOCK_MONOTONIC */
	__u64 no_port;    /* the range is exhausted */
	__u64 bound_port; /* the port that bind() had given it already has this destination */
	__u64 total_ns;   /* in the search */
	__u64 spare;
};
_Static_assert(sizeof(struct lp_ledger_refused) == 128, "the same for both sides");

struct lp_ledger_refused_set {
	struct lp_ledger_refused ways[LP_LEDGER_WAYS];
};

/* The one entry of `control`. */
struct lp_ledger_control {
	__u32 version;
	__u32 size;     /* of this struct */
	__u64 since_ms; /* since the epoch: when it was turned on */
	/* the time as it was read last in jiffy `jiffies`: good enough for all but the search */
	__u64 jiffies, now;
	__u64 unused[4]; /* what follows is written, now and then: another line of the cache */
	/* rows that gave way */
	__u64 lost_open;      /* sockets that may still be open: their opener */
	__u64 lost_time_wait; /* younger than a TIME_WAIT lives, so that it may still be there */
	__u64 lost_owners;    /* seen within the time that a TIME_WAIT lives */
	__u64 lost_searches;  /* connects that they counted */
	__u64 lost_refused;   /* refused connects that they counted, or found no row */
	__u64 busy;           /* events not noted: the row was being given away */
	/* what rows of owners that gave way had counted */
	__u64 gone_opened, gone_closed_first, gone_refused;
	__u64 unowned; /* closed first when no process was at it, or one that had no row left */
	__u64 spare[6];
};
_Static_assert(sizeof(struct lp_ledger_control) == 192, "the same for both sides");
