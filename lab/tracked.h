/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A trial's namespace in which every connection is tracked, with a listener on loopback. */

#include "lab/claim.h"
#include "lab/conntrack.h"
#include "lab/socket.h"

struct lab_tracked {
	struct lab_ns ns;
	int listener; /* of `to`, 127.0.0.1:80, backlog 4096; nobody accepts */
	struct lab_addr to;
};
#define LAB_TRACKED_NONE ((struct lab_tracked){.ns = {.fd = -1}, .listener = -1})

/* 0, or a negative errno with the sentence in lab_error(). For lab_tracked_done() or _cleanup_. */
int lab_tracked_make(struct lab_trial *trial, struct lab_tracked *ret);
void lab_tracked_done(struct lab_tracked *tracked);

/*
 * Fills the table of the namespace as connections to other hosts would, but for room for `leave`
 * more. short_lived: as if none of them had got an answer yet.
 */
int lab_tracked_fill(struct lab_trial *trial, const struct lab_tracked *tracked, uint32_t leave,
                     bool short_lived);

/* Opens n connections at once, waits wait_ms or until all stand, closes them. How many stood. */
unsigned lab_tracked_connect(const struct lab_tracked *tracked, unsigned n, int wait_ms);
