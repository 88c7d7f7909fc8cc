/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads a BPF ring buffer (kernel/bpf/ringbuf.c): two positions, and data that are mapped twice in
 * a row, so that no record is cut by the end.
 */

#include <stddef.h>
#include <stdint.h>

struct lp_ring {
	uint64_t *consumer;       /* a page of ours */
	const uint64_t *producer; /* a page of the kernel's, and the data behind it */
	size_t page, room;        /* bytes */
};

/* Maps the ring behind a descriptor, whose max_entries is `room`. 0 or a negative errno. */
int lp_ring_open(int map, size_t room, struct lp_ring *ret);
void lp_ring_close(struct lp_ring *ring);

/* Gets a record. Nonzero ends the reading, and is returned. */
typedef int (*lp_ring_take)(void *context, const void *record, size_t size);

/* Every record that is there. 0, -EBADMSG where the ring holds what can't be, or what take gave. */
int lp_ring_read(struct lp_ring *ring, lp_ring_take take, void *context);
