/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which process holds which socket by a descriptor. Part of it is told by the pass that looks at
 * descriptors anyway; the rest is searched only when there are sockets to be found.
 */

#include "kernel/kernel.h"

enum {
	/* descriptors that a search looks at: 50 ms */
	LP_SOCKFDS_SEARCHED = 32768,
};

struct lp_sockfd {
	uint32_t inode;
	pid_t pid;
	uint32_t weight; /* stands for so many descriptors of the process */
};

/* A process that has descriptors. */
struct lp_holder {
	pid_t pid;
	uint64_t open;           /* so many */
	char base[LP_TASK_BASE]; /* as an lp_task's */
};

struct lp_sockfds {
	struct lp_sockfd *items; /* by inode, then pid, after lp_sockfds_sort() */
	size_t n, room;
	struct lp_holder *unsearched; /* whose descriptors were counted only */
	size_t n_unsearched, room_unsearched;
	bool hidden;  /* some processes' descriptors may not be seen */
	bool sampled; /* not all descriptors were looked at: weights are estimates */
};

void lp_sockfds_done(struct lp_sockfds *fds);

/* A descriptor's link: noted if it is a socket's. 0 or -ENOMEM. */
int lp_sockfds_link(struct lp_sockfds *fds, pid_t pid, const char *link);

/* A process that was not searched. 0 or -ENOMEM. */
int lp_sockfds_unsearched(struct lp_sockfds *fds, const struct lp_holder *holder);

/* "socket:[12345]". 0 or -EINVAL. */
int lp_socket_link_parse(const char *link, uint32_t *ret);

/*
 * Searches what was not searched yet; of more descriptors than LP_SOCKFDS_SEARCHED each k-th. 0 or
 * -ENOMEM.
 */
int lp_sockfds_search(const struct lp_kernel *kernel, struct lp_sockfds *fds);

void lp_sockfds_sort(struct lp_sockfds *fds);

/* Those of one socket, sorted by pid: how many; *ret is the first. */
size_t lp_sockfds_of(const struct lp_sockfds *fds, uint32_t inode, const struct lp_sockfd **ret);
