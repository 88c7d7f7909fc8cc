/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Processes in a recorded /proc. `base` is "PID" or "PID/task/TID". */

#include <linux/capability.h>

#include "folder.h"

enum { USER_FLAGS = 4194304, KERNEL_THREAD_FLAGS = 2129984 };

/* "proc/BASE/NAME"; good until the next call. */
const char *recorded_path(const char *base, const char *name);

/* A process with descriptors 0 to n - 1, in namespaces of its own. */
void recorded_process(const struct folder *folder, const char *base, const char *command,
                      unsigned n, unsigned limit);
void recorded_stat(const struct folder *folder, const char *base, char state, unsigned flags,
                   unsigned threads);
/* A running process that began at `start` ticks: its stat only. */
void recorded_begun(const struct folder *folder, const char *base, unsigned start);
void recorded_limit(const struct folder *folder, const char *base, unsigned limit);
void recorded_fd(const struct folder *folder, const char *base, unsigned number,
                 const char *target);

/* Moves a process into a namespace ("net", "mnt") of another one: both files are the same. */
void recorded_share(const struct folder *folder, const char *base, const char *with,
                    const char *kind);
uint64_t recorded_inode(const struct folder *folder, const char *path);

/* Effective capabilities, given up for a while. */
struct rights {
	struct __user_cap_data_struct data[2];
};
/* Gives up those of the bits; returns what they were. */
struct rights drop_rights(uint64_t capabilities);
void set_rights(const struct rights *rights);
