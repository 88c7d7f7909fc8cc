/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child processes that never outlive us, and programs of which we want the output. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* A child that runs a function of ours and then waits to be ended. */
struct lab_child {
	pid_t pid;
	int said; /* read end of what the child said with lab_child_say() */
};
#define LAB_CHILD_NONE ((struct lab_child){.pid = -1, .said = -1})

/*
 * Forks a child (which dies with this process) that calls work(data, say): what it writes to the
 * descriptor `say` is read from child->said. Returns after the child's first byte or its end, so
 * that the child is ready by then. When work returns, the child exits with what it returned.
 * 0 or a negative errno.
 */
int lab_child_start(struct lab_child *child, int (*work)(void *data, int say), void *data);
/* In the child: one byte, then waits until it is killed. Never returns. */
_Noreturn void lab_child_ready(int say);
/* Kills the child and waits for it. For _cleanup_ too. */
void lab_child_stop(struct lab_child *child);
/* Waits for the child to end by itself. Its exit status, or 128 + signal; negative errno. */
int lab_child_wait(struct lab_child *child);

struct lab_output {
	char *text; /* NUL-terminated; the caller's */
	size_t length;
};

/*
 * Runs a program (argv[0] searched in PATH) and takes what it writes to standard output; standard
 * error is left alone when `errors` is NULL. In the calling thread's namespaces. Killed after
 * timeout_ms (then -ETIMEDOUT). Returns its exit status, or 128 + signal, or a negative errno.
 */
int lab_run(const char *const argv[], int timeout_ms, struct lab_output *out,
            struct lab_output *errors);
void lab_output_done(struct lab_output *out);

/*
 * Starts a program in the background, in the calling thread's namespaces, its output to /dev/null.
 * It dies with this process. 0 or a negative errno.
 */
int lab_spawn(struct lab_child *child, const char *const argv[]);

/*
 * Becomes an ordinary user for good, with no groups and no capabilities, and stays dumpable so
 * that /proc/self can be read. For a child process. 0 or a negative errno.
 */
int lab_become(uid_t uid, gid_t gid);
