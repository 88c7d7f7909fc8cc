/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where most experiments about local ports begin: a namespace with a small range of its own and a
 * listener outside of it. A 10.0.0.0/8 address on lo is a destination that tcp_tw_reuse=2 does not
 * take for loopback; 127.0.0.1 is one that it does.
 */

#include "lab/claim.h"
#include "lab/socket.h"

enum {
	LAB_STAND_LOW = 40000, /* the first port of the range; it ends `ports` later */
	LAB_STAND_PORT = 8080, /* the listener's */
	LAB_STAND_BACKLOG = 1024,
};
#define LAB_STAND_ADDRESS "10.0.0.1"

struct lab_stand {
	struct lab_ns ns;
	int listener;
	struct lab_addr to; /* the listener's address and port */
};
#define LAB_STAND_NONE ((struct lab_stand){.ns = {.fd = -1}, .listener = -1})

/*
 * address: of the listener, given to lo when it is not 127/8. ports: how many the range has; even,
 * because ranges of odd size lose one at random; 0 leaves the range as it is. 0, or a negative
 * errno with lab_error() set. The stand is the caller's, for lab_stand_done() or _cleanup_.
 */
int lab_stand_make(struct lab_trial *trial, const char *address, unsigned ports,
                   struct lab_stand *ret);
/* The same on 127.0.0.1, with the range that every new namespace has. */
int lab_stand_plain(struct lab_trial *trial, struct lab_stand *ret);
void lab_stand_done(struct lab_stand *stand);

/* One more listener there: its address is given to lo too. A descriptor, or a negative errno. */
int lab_stand_listen(struct lab_trial *trial, const struct lab_stand *stand, const char *address,
                     uint16_t port);
