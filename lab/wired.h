/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A listener under test, with clients at the far end of a wire that are written by hand. */

#include "lab/claim.h"
#include "lab/segment.h"

struct lab_wired {
	struct lab_ns ns;
	struct lab_wire wire;
	int listener;
	struct lab_addr server; /* where it listens */
};
#define LAB_WIRED_NONE ((struct lab_wired){.ns = {.fd = -1}, .wire = LAB_WIRE_NONE, .listener = -1})

/*
 * In the trial's world. 0, or a negative errno with lab_error() set. It is the caller's, for
 * lab_wired_done() or _cleanup_.
 */
int lab_wired_make(struct lab_trial *trial, int backlog, struct lab_wired *ret);
void lab_wired_done(struct lab_wired *wired);

/* A client at that port of the one client address, before its SYN. Begins with number `first`. */
struct lab_talk lab_wired_client(const struct lab_wired *wired, uint16_t port, uint32_t first);

/*
 * The server accepts the connection, which is the only one that waits, and closes it first. The
 * client closes too: TIME_WAIT stands at the server. half: the client only acknowledges, and the
 * server is left in FIN_WAIT2. 0 or a negative errno.
 */
int lab_wired_end(const struct lab_wired *wired, struct lab_talk *talk, bool half);

/* "RST", "SYN-ACK" or "ACK"; "nothing" when waited is not 0, what waiting for it returned. */
const char *lab_wired_heard(int waited, const struct lab_segment *segment);
