/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

void lp_ring_close(struct lp_ring *ring)
{
	if (ring->consumer)
		(void)munmap(ring->consumer, ring->page);
	if (ring->producer)
		(void)munmap((void *)(uintptr_t)ring->producer, ring->page + 2 * ring->room);
	*ring = (struct lp_ring){0};
}

int lp_ring_open(int map, size_t room, struct lp_ring *ret)
{
	struct lp_ring ring = {.page = (size_t)sysconf(_SC_PAGESIZE), .room = room};
	void *consumer = mmap(NULL, ring.page, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (consumer == MAP_FAILED)
		return lp_errno();
	ring.consumer = consumer;
	void *producer =
	        mmap(NULL, ring.page + 2 * room, PROT_READ, MAP_SHARED, map, (off_t)ring.page);
	if (producer == MAP_FAILED) {
		int r = lp_errno();
		lp_ring_close(&ring);
		return r;
	}
	ring.producer = producer;
	*ret = ring;
	return 0;
}

int lp_ring_read(struct lp_ring *ring, lp_ring_take take, void *context)
{
	enum { HEAD = BPF_RINGBUF_HDR_SZ, ALIGNED = 8 };
	const unsigned char *data = (const unsigned char *)ring->producer + ring->page;
	uint64_t at = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	/* what is there now: of what comes meanwhile there may be no end */
	const uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	int r = 0;
	while (r == 0 && at < end) {
		const unsigned char *record = data + (at & (ring->room - 1));
		uint32_t head =
		        __atomic_load_n((const uint32_t *)(const void *)record, __ATOMIC_ACQUIRE);
		size_t size = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (head & BPF_RINGBUF_BUSY_BIT)
			break; /* it is being written */
		if (size > ring->room - HEAD)
			return -EBADMSG;
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			r = take(context, record + HEAD, size);
		at += (size + HEAD + ALIGNED - 1) / ALIGNED * ALIGNED;
		__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	}
	return r;
}
