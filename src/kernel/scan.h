/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between the pass over the processes and the search for namespaces. */

#include <stdio.h>
#include <sys/stat.h>

#include "kernel/inode_map.h"
#include "kernel/kernel.h"
#include "kernel/sockfds.h"

/* A process, or the thread that stands for it where its leader is gone. */
struct lp_task {
	int dir;       /* open /proc/PID or /proc/PID/task/TID */
	pid_t pid;     /* of the process */
	uid_t uid;     /* effective, or root's where it is not dumpable */
	uint64_t open; /* descriptors */
	bool searched; /* for namespaces: all of them */
	char base[LP_TASK_BASE];
};

/*
 * The search costs one stat a process and mount namespace; what costs more is bounded a look, and
 * what is left out is a gap.
 */
enum {
	/* Threads of root's processes: only they may be in another namespace than their process. */
	LP_SCAN_THREADS = 4096,
	/* Descriptors that could hold a namespace, processes with few of them first. */
	LP_SCAN_DESCRIPTORS = 65536,
	/* So few are searched when they are counted, in one listing. */
	LP_SCAN_FEW = 64,
};

struct lp_netns_scan {
	bool enter;                     /* namespaces can be entered: look for all of them */
	struct lp_inode_map namespaces; /* numbered as list->items (if enter) */
	struct lp_inode_map mounts;     /* mount namespaces whose mountinfo was read */
	uint64_t device;                /* of nsfs */
	size_t unreadable;              /* processes whose namespace may not be asked for */
	uint64_t descriptors;           /* looked at */
	size_t threads;                 /* looked at */
	size_t threads_left_out;
	struct lp_holder *holders;
	size_t n_holders, room_holders;
	struct lp_unreached {
		uint64_t inode;
		char base[LP_TASK_BASE];
	} * unreached; /* namespaces that are mounted where nothing leads, and who sees the mount */
	size_t n_unreached, room_unreached;
};

/* Whether the task still runs. One that is gone may answer EACCES too (fs/proc/namespaces.c). */
bool lp_task_is_there(const struct lp_task *task);

/* Takes note of the namespaces of a process. Part of lp_process_read(). 0 or -ENOMEM. */
int lp_netns_scan_task(const struct lp_kernel *kernel, struct lp_netns_list *list,
                       const struct lp_task *task);

/*
 * Looks for a namespace, or a socket where those are asked for, behind descriptor `number` of the
 * process, listed as dir. 0 or -ENOMEM.
 */
int lp_netns_scan_descriptor(struct lp_netns_list *list, pid_t pid, const char *base, int dir,
                             uint64_t number);

/* Looks for them in the tasks that were not searched yet. 0 or -ENOMEM. */
int lp_netns_scan_descriptors(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                              struct lp_netns_list *list);

/*
 * How many namespaces were not found otherwise and are still mounted where nothing leads: those
 * unmounted meanwhile are not missed. 0 or -ENOMEM.
 */
int lp_netns_scan_unreached(const struct lp_kernel *kernel, const struct lp_netns_list *list,
                            size_t *ret);

/*
 * The place of a namespace, made if new. 1: it is new, 0: it was known, -ENOMEM. *ret may move
 * with the next one.
 */
int lp_netns_list_place(struct lp_netns_list *list, uint64_t inode, uint64_t device,
                        struct lp_netns_place **ret);

/* ---- texts of /proc/PID ------------------------------------------------------------------- */

struct lp_stat {
	char state; /* 'R', 'S', 'Z' … */
	bool kernel_thread;
	uint64_t threads;
	uint64_t start; /* ticks since boot; 0 where the text ends before */
};
/* Whether the process is a zombie: not only its first thread, beside which others still run. */
static inline bool lp_stat_is_ended(const struct lp_stat *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->threads < 2;
}

/* /proc/PID/stat. 0 or -EINVAL. */
int lp_stat_parse(const char *text, struct lp_stat *ret);

/* The limits of "Max open files" in /proc/PID/limits; UINT64_MAX if unlimited. 0 or -EINVAL. */
int lp_limits_parse(const char *text, uint64_t *soft, uint64_t *hard);

/* "FDSize:" of /proc/PID/status: descriptors are numbered below it. 0 or -EINVAL. */
int lp_fd_size_parse(const char *text, uint64_t *ret);

/* /proc/PID/timens_offsets: "monotonic  500000  0" and "boottime …", s and ns. 0 or -EINVAL. */
int lp_timens_parse(const char *text, struct lp_timens *ret);

/* "net:[4026532316]", as the link of a namespace is. 0 or -EINVAL. */
int lp_netns_link_parse(const char *text, uint64_t *ret);

/* One line of mountinfo; the strings point into it. */
struct lp_mount {
	char *root;    /* "net:[4026532316]" of a namespace */
	char *point;   /* seen from the root of its process */
	char *type;    /* "nsfs" */
	char *options; /* of the file system */
};
/* Takes a line apart in place. 0 or -EINVAL. */
int lp_mount_parse(char *line, struct lp_mount *ret);

/*
 * Every mount of the "mountinfo" below dir, until visit returns other than 0. Returns that, or 0,
 * or a negative errno. Lines that are no mounts are skipped.
 */
int lp_mounts_each(int dir, int (*visit)(void *data, const struct lp_mount *mount), void *data);

/* Whether a network namespace is mounted there, and which. */
bool lp_mount_is_netns(const struct lp_mount *mount, uint64_t *ret);

/* ---- what the caller may see --------------------------------------------------------------- */

/* Whether the caller has it (CAP_SYS_ADMIN …), in its user namespace. */
bool lp_has_capability(unsigned capability);

/* Whether this is a /proc mounted with hidepid that the caller's groups do not lift. */
bool lp_mount_hides_processes(const struct lp_mount *mount);

/* Whether /proc may show the caller's own processes only, so that others can't even be counted. */
bool lp_processes_are_hidden(const struct lp_kernel *kernel);

/* Whether /proc numbers processes as the kernel's programs do: by the initial PID namespace. */
bool lp_processes_are_initial(const struct lp_kernel *kernel);

/* ---- /proc/PID/fd ------------------------------------------------------------------------- */

/*
 * Whether st_size of a /proc/PID/fd is the number of descriptors, as it is since Linux 6.2
 * (f1f1f2569901): opens one and sees whether it counts.
 */
bool lp_fd_size_counts(const struct lp_kernel *kernel);

/*
 * Every number of the "fd" below dir, beginning at `from` where /proc can seek to it, until visit
 * returns other than 0. Returns that, or 0, or a negative errno.
 */
int lp_fd_each(int dir, uint64_t from, int (*visit)(void *data, int dir, uint64_t number),
               void *data);
