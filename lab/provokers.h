/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the provokers share: inside their own process. */

#include "lab/provoke.h"
#include "lab/router.h"
#include "lab/socket.h"

struct lab_provoking {
	const struct lab_provoker *provoker;
	struct lab_ns ns; /* to look at; the process is in it */
	struct lab_fds fds;
	int listener;
	struct lab_addr to; /* where it listens */
	struct lab_router router;
	uint64_t rounds; /* of keep() */
	/* client-ports: when each port was used, in turn */
	int64_t *used_ns;
	unsigned next;
};
