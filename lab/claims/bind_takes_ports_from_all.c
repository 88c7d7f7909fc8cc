/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum {
	PORTS = 100,
	BOUND = 30,
};

/* How sockets of one address take ports of the range while others connect from another one. */
static const struct taking {
	const char *name;
	bool listens;
} takings[] = {
        {"bound and idle on 127.0.0.1", false},
        {"listening on 127.0.0.1", true},
};

/* named: binds to every third port of the range; else to the address only. */
static int take(const struct lab_stand *stand, const struct taking *taking, bool named,
                struct lab_fds *hold)
{
	for (unsigned i = 0; i < BOUND; i++) {
		struct lab_addr at = lab_addr("127.0.0.1", 0);
		if (named)
			lab_addr_set_port(&at, (uint16_t)(LAB_STAND_LOW + 3 * i));
		struct lab_how how = {
		        .ns = &stand->ns, .from = &at, .options = named ? 0 : LAB_BIND_NO_PORT};
		int fd = taking->listens && named ? lab_listen(&how, 1) : lab_bound(&how);
		int r = fd < 0 ? fd : lab_hold(hold, fd);
		if (r < 0)
			return r;
	}
	return 0;
}

/* How many connections to one destination the range has left. */
static unsigned left_for(const struct lab_stand *stand, const struct lab_addr *to)
{
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	struct lab_how how = {.ns = &stand->ns};
	return lab_connect_many(&how, to, PORTS, &hold).n;
}

/* *ret_left: the larger of what two destinations have left. */
static int measure(struct lab_trial *trial, const struct taking *taking, unsigned *ret_left)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, PORTS, &stand);
	if (r < 0)
		return r;
	_cleanup_(lp_close_fd) int other =
	        lab_stand_listen(trial, &stand, "10.0.0.2", LAB_STAND_PORT);
	if (other < 0)
		return other;
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	r = take(&stand, taking, !lab_turned(trial, "address-only"), &hold);
	if (r < 0)
		return r;
	struct lab_addr second = lab_addr_local(other);
	unsigned to_one = left_for(&stand, &stand.to), to_other = left_for(&stand, &second);
	lab_case(trial, taking->name);
	lab_counted(trial, "ports", PORTS);
	lab_counted(trial, "bound", BOUND);
	lab_counted(trial, "left_for_one_host", to_one);
	lab_counted(trial, "left_for_another", to_other);
	lab_case(trial, NULL);
	*ret_left = to_one > to_other ? to_one : to_other;
	return 0;
}

static int run(struct lab_trial *trial)
{
	unsigned idle, listening;
	int r = measure(trial, &takings[0], &idle);
	if (r == 0)
		r = measure(trial, &takings[1], &listening);
	if (r < 0)
		return r;
	const char *why = "%d sockets bound on 127.0.0.1 leave %u of %d ports for connections from "
	                  "another address to any host; as listeners %u";
	bool idle_takes = idle == PORTS - BOUND, listening_takes = listening == PORTS - BOUND;
	if (idle_takes != listening_takes)
		return lab_verdict(trial, LAB_DEPENDS, why, BOUND, idle, PORTS, listening);
	return lab_verdict_if(trial, idle_takes, why, BOUND, idle, PORTS, listening);
}

static const struct lab_turn turns[] = {
        {.what = "the sockets bind to the address and to no port (IP_BIND_ADDRESS_NO_PORT)",
         .expect = LAB_REFUTED,
         .flag = "address-only"},
        {0},
};

const struct lab_claim lab_claim_bind_takes_ports_from_all = {
        .id = "bind-takes-ports-from-all",
        .claim = "a port of the range that is bound explicitly is lost to connect() everywhere",
        .source = "bug reports of listeners inside ip_local_port_range",
        .experiment = "30 of 100 ports are bound on 127.0.0.1, idle or listening; then "
                      "connections from another address to two hosts are opened until refused",
        .confirms = "70 are left for each host",
        .refutes = "more are",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
