/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* bpf(2) for what is pinned: no library is needed for it. */

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
