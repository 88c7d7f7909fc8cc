/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TCP written by hand. A wire leads from a namespace to a far end where no kernel answers: what is
 * said from there, from any address, is said by us, and all that the kernel under test sends into
 * the wire is ours to see. So every sequence number and timestamp is known, and a segment can be
 * lost, kept for later, or sent twice.
 *
 * Made of a veth pair and a packet socket: works in a user namespace too, without /dev/net/tun.
 */

#include <netinet/tcp.h> /* TH_SYN … */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/ns.h"
#include "lab/socket.h"

enum { LAB_SEGMENT_DATA = 1400 };
#define LAB_WIRE_LINK "wire" /* what the link is called in the namespace under test */

/* One TCP segment. Numbers in host byte order. All zero but the addresses is a valid one. */
struct lab_segment {
	struct lab_addr from, to; /* of one family */
	uint32_t seq, ack;
	uint8_t flags; /* TH_SYN, TH_ACK … */
	uint16_t window;
	bool stamped; /* with the timestamps option: */
	uint32_t stamp, echo;
	size_t length; /* of data, at most LAB_SEGMENT_DATA */
	unsigned char data[LAB_SEGMENT_DATA];
};

struct lab_wire {
	struct lab_ns far; /* holds the far end */
	int fd;            /* packet socket there */
	int link;
	unsigned char mac[6]; /* of the near end */
};
#define LAB_WIRE_NONE ((struct lab_wire){.far = {.fd = -1}, .fd = -1})

/*
 * Lays a wire into the namespace, with the address there ("10.9.0.1/24"); every other address of
 * that network is then at the far end. More can be given to LAB_WIRE_LINK by lab_address(). One
 * wire a namespace. 0, or a negative errno with err set. The wire is the caller's, for
 * lab_wire_done() or _cleanup_.
 */
int lab_wire_open(const struct lab_ns *ns, const char *network, struct lab_wire *ret,
                  struct lp_error *err);
void lab_wire_done(struct lab_wire *wire);

/* Sends a segment from the far end, as it is, with correct checksums. 0 or a negative errno. */
int lab_wire_send(const struct lab_wire *wire, const struct lab_segment *segment);

/* What lab_wire_wait() waits for. All zero is any segment. */
struct lab_wanted {
	const struct lab_addr *from, *to; /* NULL: any */
	uint8_t mask, flags;              /* (segment.flags & mask) == flags */
};

/*
 * The next such segment from the namespace; those before it are passed over. 0, or -ETIMEDOUT. *ret
 * is untouched then; it may be NULL.
 */
int lab_wire_wait(const struct lab_wire *wire, const struct lab_wanted *wanted, int timeout_ms,
                  struct lab_segment *ret);

/* ---- a connection at the far end --------------------------------------------------------------
 */

/*
 * Our end of one connection, in as many numbers as are needed to go on with it. Set before it
 * begins: wire, self (and other, for lab_talk_connect()), next (the first sequence number), and
 * stamped with stamp when timestamps are to be offered or, when the other end offers them, taken.
 */
struct lab_talk {
	const struct lab_wire *wire;
	struct lab_addr self, other;
	uint32_t next; /* the sequence number that we send next */
	uint32_t seen; /* the one that we await */
	bool stamped;
	uint32_t stamp, echo; /* stamp stays as it is unless the caller moves it */
};

/* Waits for a SYN to talk->self and shakes hands; talk->other is whoever it came from. */
int lab_talk_accept(struct lab_talk *talk);
/* Shakes hands with a listener at talk->other. -ECONNREFUSED: answered by a reset. */
int lab_talk_connect(struct lab_talk *talk);

/* The segment that the talk would send next, to be altered, kept or sent. */
struct lab_segment lab_talk_segment(const struct lab_talk *talk, uint8_t flags, const void *data,
                                    size_t length);
/* Sends it and moves on. */
int lab_talk_send(struct lab_talk *talk, uint8_t flags, const void *data, size_t length);
/* Waits for a segment of this connection, and takes note of what it said. 0 or -ETIMEDOUT. */
int lab_talk_wait(struct lab_talk *talk, uint8_t mask, uint8_t flags, int timeout_ms,
                  struct lab_segment *ret);
