/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel memory that TCP's sockets take, of the whole machine: so differences only, and medians
 * of several. By /proc/slabinfo, which is root's; for others by the Slab line of /proc/meminfo,
 * which counts all that the kernel does meanwhile too.
 */

#include <stdbool.h>
#include <stdint.h>

enum { LAB_SLAB_CACHES = 8, LAB_SLAB_NAME = 64 };

struct lab_slab {
	bool exact; /* by the caches below; else by meminfo */
	/* as slabinfo calls them: the kernel merges caches of one size under one name */
	char caches[LAB_SLAB_CACHES][LAB_SLAB_NAME];
	unsigned n;
};

/*
 * Finds the caches of TCP sockets, of TIME_WAIT, of bound ports and of sockets' inodes. 0 or a
 * negative errno when neither file can be read.
 */
int lab_slab_find(struct lab_slab *ret);

/* Bytes in use now, or a negative errno. */
int64_t lab_slab_bytes(const struct lab_slab *slab);

/*
 * Waits until the kernel has freed what was closed before and others make no sockets by the
 * thousand: until two looks 50 ms apart agree to 128 kB. *ret is what the last look saw, with 0 and
 * with -ETIMEDOUT; timeout 0: two looks only.
 */
int lab_slab_settle(const struct lab_slab *slab, int timeout_ms, int64_t *ret);

/* Bytes that one object of a cache takes, as slabinfo says, or a negative errno. */
int64_t lab_slab_object(const char *cache);
