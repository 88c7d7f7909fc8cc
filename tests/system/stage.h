/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a finding is brought about. */

#include "ask.h"

#define STAGE_AT "10.0.0.1"
enum { STAGE_PORT = 8080, STAGE_LOW = 40000 };

/* A namespace with an address that tcp_tw_reuse does not take for loopback, and a listener there.
 */
struct stage {
	struct lab_ns ns;
	struct lab_addr to;
	struct lab_how how;
	int listener;
	struct lab_fds fds;
};

/* With a range of so many ports from STAGE_LOW on; 0: the range that a new namespace has. */
void stage_make(struct stage *stage, unsigned ports, int backlog);
void stage_done(struct stage *stage);

/* A child that has so many of 256 descriptors open, which it might raise itself; data: percent. */
int stage_open_some(void *data, int say);
