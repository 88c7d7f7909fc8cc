/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long the kernel keeps what programs have let go of. */

#include "lab/claim.h"
#include "lab/socket.h"

/* One tuple that is watched. */
struct lab_watch {
	const struct lab_ns *ns;
	struct lab_addr local, remote;
	int64_t since_ns; /* lp_clock_ns() when it began */
	bool gone;
	double lasted_s; /* by the clock of the trial's world; until now when it is not gone */
};

/* Watches the client's (or the server's) end of a pair, beginning now. */
struct lab_watch lab_watch_begin(const struct lab_ns *ns, int fd);

/* Waits until the kernel has forgotten all n, or for `seconds`, then they are not gone. 0 or
 * -errno.
 */
int lab_watch_wait(const struct lab_trial *trial, struct lab_watch *watches, size_t n,
                   unsigned seconds);
