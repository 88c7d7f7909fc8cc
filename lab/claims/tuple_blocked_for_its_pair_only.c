/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum { PORTS = 100 };

/* What is left for others after one destination has had every port. */
struct left {
	unsigned other_host, other_port;
};

/* Counts into *ret. */
static int open_all(struct lab_trial *trial, const struct lab_stand *stand, const char *address,
                    uint16_t port, unsigned *ret)
{
	_cleanup_(lp_close_fd) int listener = lab_stand_listen(trial, stand, address, port);
	if (listener < 0)
		return listener;
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	struct lab_addr to = lab_addr_local(listener);
	struct lab_how how = {.ns = &stand->ns};
	*ret = lab_connect_many(&how, &to, PORTS, &hold).n;
	return 0;
}

/* from: bound to before connect(), so that bind() chooses the port; NULL: connect() does. */
static int exhaust(struct lab_trial *trial, const struct lab_stand *stand,
                   const struct lab_addr *from)
{
	struct lab_how how = {.ns = &stand->ns, .from = from};
	struct lab_count filled =
	        lab_open_and_end(&how, &stand->to, stand->listener, LAB_CLIENT_FIRST, PORTS + 1);
	lab_counted(trial, "ports", PORTS);
	lab_counted(trial, "opened_to_one_destination", filled.n);
	if (filled.error != EADDRNOTAVAIL && filled.error != EADDRINUSE)
		return lp_fail(lab_error(trial), EPROTO,
		               "%u connections to one destination and no want of ports", filled.n);
	return 0;
}

static int measure(struct lab_trial *trial, bool bind_first, struct left *ret)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, PORTS, &stand);
	if (r < 0)
		return r;
	lab_case(trial, bind_first ? "ports chosen by bind()" : "ports chosen by connect()");
	struct lab_addr from = lab_addr(LAB_STAND_ADDRESS, 0);
	r = exhaust(trial, &stand, bind_first ? &from : NULL);
	if (r == 0)
		r = open_all(trial, &stand, "10.0.0.2", LAB_STAND_PORT, &ret->other_host);
	if (r == 0)
		r = open_all(trial, &stand, LAB_STAND_ADDRESS, LAB_STAND_PORT + 1,
		             &ret->other_port);
	if (r < 0)
		return r;
	lab_counted(trial, "then_opened_to_another_host", ret->other_host);
	lab_counted(trial, "then_opened_to_another_port", ret->other_port);
	lab_case(trial, NULL);
	return 0;
}

static bool alone(const struct left *left)
{
	return left->other_host == PORTS && left->other_port == PORTS;
}

static int run(struct lab_trial *trial)
{
	struct left by_connect = {0}, by_bind = {0};
	bool nobody_binds = lab_turned(trial, "nobody-binds");
	bool everybody_binds = lab_turned(trial, "everybody-binds");
	int r = everybody_binds ? 0 : measure(trial, false, &by_connect);
	if (r == 0 && !nobody_binds)
		r = measure(trial, true, &by_bind);
	if (r < 0)
		return r;
	if (nobody_binds || everybody_binds) {
		const struct left *only = nobody_binds ? &by_connect : &by_bind;
		return lab_verdict_if(trial, alone(only),
		                      "%u of %d ports are left for another host", only->other_host,
		                      PORTS);
	}
	if (alone(&by_connect) == alone(&by_bind))
		return lab_verdict_if(trial, alone(&by_connect),
		                      "%u of %d ports are left for another host, %u when bind() "
		                      "chose them",
		                      by_connect.other_host, PORTS, by_bind.other_host);
	return lab_verdict(trial, LAB_DEPENDS,
	                   "on who chose the ports in TIME_WAIT: connect(), and another host still "
	                   "has %u of %d; bind() before connect(), and it has %u",
	                   by_connect.other_host, PORTS, by_bind.other_host);
}

static const struct lab_turn turns[] = {
        {.what = "no program binds before it connects",
         .expect = LAB_CONFIRMED,
         .flag = "nobody-binds"},
        {.what = "every program binds before it connects",
         .expect = LAB_REFUTED,
         .flag = "everybody-binds"},
        {0},
};

const struct lab_claim lab_claim_tuple_blocked_for_its_pair_only = {
        .id = "tuple-blocked-for-its-pair-only",
        .claim = "exhaustion towards one destination leaves connections to other hosts alone",
        .source = "RFC 9293 section 4 (a connection is a pair of sockets); capacity guides",
        .experiment = "100 ports are all put into TIME_WAIT towards one address and port, once "
                      "chosen by connect(), once by bind(); then another host, and another port of "
                      "the same one, are connected to",
        .confirms = "all 100 ports are there for the others both times",
        .refutes = "they are there neither time",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
