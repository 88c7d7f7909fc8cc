/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A namespace with many connections in it, for what reads the kernel's tables; needs root. */

#include "check.h"
#include "kernel/kernel.h"
#include "random.h"

enum { CROWD_HOLDERS = 8 };

struct crowd {
	struct dice dice;
	struct lab_ns ns;
	unsigned low, high, connections, pools;
	struct lab_fds fds;
	pid_t holders[CROWD_HOLDERS]; /* processes that hold what does not fit into this one */
	unsigned n_holders;
};

/* Makes the namespace with that range, nothing in it yet. */
void crowd_range(struct crowd *crowd, unsigned low, unsigned high);
void crowd_done(struct crowd *crowd);
/* A teardown for cmocka: the state is a crowd. */
int crowd_unmake(void **state);

/*
 * To 127.x.y.z or ::1, as if it were established: no packet, no listener, and no TIME_WAIT. From
 * that port, or (0) as connect() chooses. A descriptor or a negative errno.
 */
int crowd_open_alone(int family, uint32_t address, uint16_t port, unsigned local_port);

/* Takes a descriptor over. A process may not have as many as it takes: others hold them. */
void crowd_hold(struct crowd *crowd, int fd);

enum style { NATURAL, IN_A_ROW, ONE_PARITY, STREWN, IN_BLOCKS, STYLES };

/* A pool of at most n connections to somewhere, its ports chosen in that style. */
void crowd_pool(struct crowd *crowd, enum style style, unsigned n);

/*
 * A look at the namespace from inside. Whatever was left out of sockets, or another reader than the
 * one that was asked for, fails the test; not so by_any.
 */
struct lp_snapshot *crowd_look_by_any(const struct lab_ns *ns, struct lp_look_options options);
struct lp_snapshot *crowd_look(const struct lab_ns *ns, struct lp_look_options options);
