/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bpf(2) where no library is needed: libbpf's own wrappers would bring in libelf, which light
 * skeletons spare. Each returns 0 (or a descriptor), or a negative errno.
 */

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static inline int lp_bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));
	return r < 0 ? lp_errno() : (int)r;
}

/* Opens what is pinned at `path`. The descriptor or a negative errno. */
static inline int lp_bpf_get(const char *path)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	return lp_bpf(BPF_OBJ_GET, &attr);
}

static inline int lp_bpf_pin(int fd, const char *path)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	attr.bpf_fd = (uint32_t)fd;
	return lp_bpf(BPF_OBJ_PIN, &attr);
}

/* Runs a program of SEC("syscall") with its argument, which it may change. -ENOTSUP: it gave up. */
static inline int lp_bpf_run(int program, void *argument, size_t size)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)program;
	attr.test.ctx_in = (uintptr_t)argument;
	attr.test.ctx_size_in = (uint32_t)size;
	int r = lp_bpf(BPF_PROG_RUN, &attr);
	return r == 0 && attr.test.retval ? -ENOTSUP : r;
}

/* A command on an entry of a map; of BPF_MAP_GET_NEXT_KEY `value` is the next key. */
static inline int lp_bpf_entry(enum bpf_cmd command, int map, const void *key, void *value)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value; /* next_key is the same field */
	return lp_bpf(command, &attr);
}

/* What the kernel tells of a map or a program: of an older kernel the rest is 0. */
static inline int lp_bpf_info(int fd, void *info, size_t size)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	memset(info, 0, size);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = (uint32_t)size;
	attr.info.info = (uintptr_t)info;
	return lp_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

/*
 * Says why the kernel did not load or attach the programs that `who` ("the ledger") needs, which
 * Linux does from the version `since` on. -EPERM: this process may not; -EMFILE, -ENFILE, -ENOMEM;
 * else -EOPNOTSUPP.
 */
int lp_bpf_refused(const char *who, const char *since, int error, struct lp_error *err);
