/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* In which cgroup a process is, and which cgroup has a number. */

#include "kernel/kernel.h"

enum { LP_CGROUP_PATH = 4096 }; /* bytes of a path, and its end */

/*
 * The path of the hierarchy that tells most out of /proc/PID/cgroup: that of cgroup2, unless it is
 * the root there and a hierarchy of version 1 knows more. " (deleted)" is taken off. 0; -EINVAL
 * where no line is one; -ENAMETOOLONG. path is then as it was.
 */
int lp_cgroup_parse(const char *text, char *path, size_t size);

/* The same of a process, its own words. -ENOENT, -ESRCH: it is gone; else why it can't be read. */
int lp_cgroup_of(const struct lp_kernel *kernel, pid_t pid, char *path, size_t size);

/* Where cgroup2 is mounted, to find cgroups by number. */
struct lp_cgroups {
	int mount;   /* open, or -1 */
	char *point; /* where it is mounted */
	char *root;  /* the cgroup that is mounted there: "/" is all of them */
};
#define LP_CGROUPS_NONE ((struct lp_cgroups){.mount = -1})

/* Finds the mount in mountinfo. 0; -ENOENT where cgroup2 is not mounted; else why not. */
int lp_cgroups_open(const struct lp_kernel *kernel, struct lp_cgroups *ret);
void lp_cgroups_close(struct lp_cgroups *cgroups);

/*
 * The path of the cgroup with this number, which is the inode of its folder. 0; -ENOENT: it is
 * gone; -EPERM: this needs CAP_DAC_READ_SEARCH; -EOPNOTSUPP: before Linux 5.5.
 */
int lp_cgroups_path(const struct lp_cgroups *cgroups, uint64_t id, char *path, size_t size);
