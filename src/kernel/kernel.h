/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The only code that reads the kernel. Where it reads is a parameter, so that a test can put a
 * folder of recorded texts and a socket of recorded answers in place of a machine.
 */

#include "base/error.h"
#include "snapshot/snapshot.h"

/* Where a task is below /proc: "PID" or, where its first thread is gone, "PID/task/TID". */
enum { LP_TASK_BASE = 48 };

/* What the caller's time namespace adds to the kernel's clocks. 0 outside of one. */
struct lp_timens {
	int64_t monotonic_ns, boottime_ns;
};

/* Descriptors are the caller's. */
struct lp_kernel {
	int proc;      /* open /proc */
	int sys;       /* open /sys, or -1 */
	int run_netns; /* open /run/netns, or -1 where there is none */
	int root;      /* open /, below which configuration and the kernel log are, or -1 */
	struct lp_timens timens;
};
#define LP_KERNEL_NONE ((struct lp_kernel){.proc = -1, .sys = -1, .run_netns = -1, .root = -1})

/* Opens the running machine's. 0, or -EIO with err set: without /proc nothing works. */
int lp_kernel_open(struct lp_kernel *kernel, struct lp_error *err);
void lp_kernel_close(struct lp_kernel *kernel);

/* Nanoseconds of CLOCK_MONOTONIC as the kernel itself, its log and its programs have it. */
int64_t lp_kernel_ns(const struct lp_kernel *kernel);

/* ---- proc texts: each parser takes the text, each reader takes the descriptor -------------- */

/*
 * Reads a whole small file below dir into buf, NUL-terminated. Returns its length, or a negative
 * errno; -EFBIG when it does not fit, -EINVAL when it holds a NUL byte.
 */
ssize_t lp_read_text(int dir, const char *path, char *buf, size_t size);

/* "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 0" of sockstat. Sets what it finds; -EINVAL if no TCP. */
int lp_sockstat_parse(const char *text, struct lp_netns *netns, struct lp_machine *machine);
/* "TCP6: inuse 1" of sockstat6. */
int lp_sockstat6_parse(const char *text, struct lp_netns *netns);
/*
 * Both, of the calling thread's namespace: thread-self/net/. Absent files leave figures unknown;
 * what is torn or refused is a gap. 0 or -ENOMEM.
 */
int lp_sockstat_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                     struct lp_netns *netns);

/* "32768	60999". -EINVAL unless two numbers of 0 to 65535, low <= high. */
int lp_range_parse(const char *text, uint32_t *low, uint32_t *high);
/* "8080,9000-9010" or "": adds to the map. -EINVAL at the first thing that is not a port list. */
int lp_port_list_parse(const char *text, struct lp_port_map *map);
/*
 * The sysctls of the calling thread's namespace (sys/net/ipv4, sys/net/netfilter), conntrack
 * figures, `initial` and `has_ipv6` into netns; the reserved ports into `reserved` and those of
 * them in the range counted in netns->reserved. A sysctl that is not there stays unknown, except
 * tcp_tw_reuse_delay, which is 1000 before Linux 6.14. Unreadable or malformed: a gap.
 */
int lp_sysctl_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                   struct lp_netns *netns, struct lp_port_map *reserved);
/* `conntrack_entries` alone. 0 or -ENOMEM. */
int lp_sysctl_entries(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                      struct lp_netns *netns);
/* `initial` and `has_ipv6` alone. */
void lp_sysctl_kind(const struct lp_kernel *kernel, struct lp_netns *netns);

/* file-nr, tcp_mem, tcp_max_orphans, slab sizes, uname: call in the initial namespace if possible.
 */
int lp_machine_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot);
int lp_file_nr_parse(const char *text, struct lp_machine *machine);
int lp_tcp_mem_parse(const char *text, struct lp_machine *machine);

/*
 * Every process that can be seen: descriptors and their limit, as one pass over /proc. In the same
 * pass, the network namespaces that processes are in, where `namespaces` is not NULL (see below).
 * Processes that may not be read are counted in one gap ("processes"), those that vanish meanwhile
 * are not. Kernel threads are left out.
 */
struct lp_netns_list;
int lp_process_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                    struct lp_netns_list *namespaces);

/* ---- network namespaces ------------------------------------------------------------------- */

/*
 * Where a namespace can be entered. Nothing is held open: with a descriptor each, a thousand
 * namespaces would not fit into RLIMIT_NOFILE, and a library may not raise its caller's.
 */
struct lp_netns_place {
	uint64_t inode, device;
	char *name;      /* under /run/netns, "host", or NULL */
	char *path;      /* below /run/netns if named, else /proc; or NULL */
	char *last_path; /* another one below /proc: what was seen first may be a visitor */
	pid_t pid;       /* the first process seen in it, or 0 */
	pid_t last_pid;  /* the last one: when the first is gone */
	uint32_t cookie; /* of lp_netns_list_cookies(), see struct lp_netns_id; else 0 */
	bool own;        /* the calling thread's: nothing to enter */
	bool named;      /* has a file under /run/netns */
	bool gone;       /* while lp_netns_list_cookies() goes round */
};
static inline struct lp_netns_id lp_netns_place_id(const struct lp_netns_place *place)
{
	return (struct lp_netns_id){place->inode, place->cookie};
}
struct lp_netns_list {
	struct lp_netns_place *items;
	size_t n, room;
	bool closed_too;            /* to be set before: those too that may not be entered */
	bool host_known;            /* that of pid 1 was told */
	struct lp_sockfds *sockets; /* gets who holds which socket; NULL: not asked */
	struct lp_netns_scan *scan; /* what the search keeps: src/kernel/scan.h */
};
void lp_netns_place_done(struct lp_netns_place *place);
void lp_netns_list_done(struct lp_netns_list *list);

/*
 * Opens a namespace for setns(), and makes sure that it still is the one that was listed. The
 * descriptor is the caller's. -ENOENT: it went away meanwhile, which is no gap; else why not.
 */
int lp_netns_place_open(const struct lp_kernel *kernel, const struct lp_netns_place *place);
/*
 * The same by a new search for ways to it (milliseconds): those that were listed may have been
 * visitors', gone by now while it is there. -ENOENT: nothing leads there any more; -EAGAIN:
 * something did, and went away too.
 */
int lp_netns_place_search(const struct lp_kernel *kernel, const struct lp_netns_place *place);

/*
 * All namespaces there are to see: the caller's own first (always there, its inode 0 where /proc
 * does not tell it), then those of /run/netns, of processes (threads too where cheap), of nsfs
 * mounts, and those held by a descriptor only. Without CAP_SYS_ADMIN the own one only, or with
 * closed_too those that are to be seen. What may not be seen is a gap ("namespaces"). Fills
 * snapshot->processes and snapshot->privileged too.
 *
 * Where pid 1 may not be asked, host_known is false: the namespace in which lp_sysctl_kind() finds
 * `initial` is then the "host".
 */
int lp_netns_list_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                       struct lp_netns_list *list);

/*
 * Says why the one that was asked for is not among those to be read; unseen: the gaps, or "".
 * -EPERM: it may not be entered, or perhaps not be seen; else -ENOENT.
 */
int lp_netns_none(const struct lp_kernel *kernel, const char *wanted, const char *unseen,
                  struct lp_error *err);

/* Who goes round the namespaces of a list, in a thread that is in each in turn. */
struct lp_netns_visitor {
	bool (*wants)(void *context, size_t index); /* NULL: all */
	/* error: 0, or a negative errno why it could not be entered */
	void (*visit)(void *context, size_t index, int error);
	void *context;
};
int lp_netns_visit(const struct lp_kernel *kernel, const struct lp_netns_list *list,
                   const struct lp_netns_visitor *visitor);

/* The cookie of the namespace that the calling thread is in. 0: the kernel does not tell. */
uint32_t lp_netns_cookie(void);

/*
 * Asks for each one's cookie, so that another one with its inode is told from it. Takes those that
 * are gone out of the list. 0, or a negative errno where no thread could be had.
 */
int lp_netns_list_cookies(const struct lp_kernel *kernel, struct lp_netns_list *list);

/* ---- sockets ------------------------------------------------------------------------------ */

struct lp_sockets_options {
	bool bound; /* also ask for bound but unconnected sockets: walks the bind table */
	/* gets each connection; its namespace is then one of the snapshot's. NULL: not asked */
	struct lp_sightings *sightings;
	/* Opens the netlink socket; NULL is lp_diag_open(). A test puts recorded answers here. */
	int (*open)(void *context);
	void *context;
};

/*
 * Reads all TCP sockets of the calling thread's namespace by sock_diag into netns, whose sysctls
 * and sockstat are already known. Interrupted or lost dumps are asked again a bounded number of
 * times; what stays missing is a gap. 0 (also with gaps), or -ENOMEM.
 */
int lp_sockets_read(struct lp_snapshot *snapshot, struct lp_netns *netns,
                    const struct lp_port_map *reserved, const struct lp_sockets_options *options);

/* ---- the whole ---------------------------------------------------------------------------- */

enum lp_read {
	LP_READ_AUTO, /* what is quicker here */
	LP_READ_DIAG,
	LP_READ_BPF, /* sock_diag where programs can't be loaded, which is a gap ("reader") */
};

/* How much of connection tracking. Its counters cost nothing, each entry 2 µs. */
enum lp_read_conntrack {
	LP_CONNTRACK_AUTO,    /* what a table that fills calls for */
	LP_CONNTRACK_ALL,     /* every entry */
	LP_CONNTRACK_COUNTED, /* no entry */
};

struct lp_look_options {
	const char *netns; /* name, inode in decimal, "host", "self"; NULL or "all" for every one */
	enum lp_read reader;
	bool log;                     /* read the kernel log too, in the calling thread meanwhile */
	struct lp_owner_notes *notes; /* gets what lp_owners_find() needs; NULL: not asked */
	enum lp_read_conntrack conntrack;
	bool exact;      /* count all sockets, however many there are */
	uint32_t sample; /* connections of a sample; 0: as many as it takes. For tests */
};

/* Fills a new snapshot of the machine. *ret is the caller's. */
int lp_look(const struct lp_kernel *kernel, const struct lp_look_options *options,
            struct lp_snapshot **ret, struct lp_error *err);
