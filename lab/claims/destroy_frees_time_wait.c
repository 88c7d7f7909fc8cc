/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/clock.h"
#include "lab/destroy.h"
#include "lab/lab.h"
#include "lab/stand.h"

enum { PORTS = 1000 };

/* What is destroyed: TIME_WAITs, or in a turned world connections that are still open. */
static int use_up(struct lab_trial *trial, const struct lab_stand *stand, struct lab_fds *open)
{
	struct lab_how how = {.ns = &stand->ns};
	struct lab_count done = open ? lab_connect_many(&how, &stand->to, PORTS + 1, open)
	                             : lab_open_and_end(&how, &stand->to, stand->listener,
	                                                LAB_CLIENT_FIRST, PORTS + 1);
	if (done.n != PORTS || done.error != EADDRNOTAVAIL)
		return lp_fail(lab_error(trial), EPROTO, "%u of %d ports could be used up", done.n,
		               PORTS);
	return 0;
}

static int destroy(struct lab_trial *trial, const struct lab_stand *stand, bool open,
                   struct lab_destroyed *ret)
{
	struct lab_doomed doomed = {.ns = &stand->ns,
	                            .states = 1U << (open ? TCP_ESTABLISHED : TCP_TIME_WAIT),
	                            .to = &stand->to,
	                            .mistaken = lab_turned(trial, "mistaken")};
	int64_t start = lp_clock_ns();
	int r = lab_destroy(&doomed, ret);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "SOCK_DESTROY could not be asked for");
	lab_counted(trial, "ports", PORTS);
	lab_counted(trial, "destroyed", ret->asked - ret->refused);
	lab_measured(trial, "found_and_destroyed_in_ms", (double)(lp_clock_ns() - start) / 1e6);
	return 0;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	_cleanup_(lab_fds_done) struct lab_fds held = {0}, again = {0};
	bool open = lab_turned(trial, "open");
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, PORTS, &stand);
	if (r == 0)
		r = use_up(trial, &stand, open ? &held : NULL);
	if (r < 0)
		return r;
	int64_t resets = lab_counter(&stand.ns, "Tcp", "OutRsts");
	struct lab_destroyed destroyed;
	r = destroy(trial, &stand, open, &destroyed);
	if (r < 0)
		return r;
	if (destroyed.error == EOPNOTSUPP)
		return lab_not_run(trial, "this kernel was built without SOCK_DESTROY");
	resets = lab_counter(&stand.ns, "Tcp", "OutRsts") - resets;
	(void)lab_drain(stand.listener);
	struct lab_how how = {.ns = &stand.ns};
	struct lab_count opened = lab_connect_many(&how, &stand.to, PORTS, &again);
	lab_counted(trial, "resets_sent", resets);
	lab_counted(trial, "then_opened", opened.n);
	return lab_verdict_if(
	        trial, opened.n == PORTS && resets == 0,
	        "%d ports were in use and connect() refused; %u sockets destroyed, %d "
	        "resets sent; then %u connections could be opened",
	        PORTS, destroyed.asked - destroyed.refused, (int)resets, opened.n);
}

static const struct lab_turn turns[] = {
        {.what = "the connections are still open", .expect = LAB_REFUTED, .flag = "open"},
        {.what = "the sockets are named by wrong cookies",
         .expect = LAB_REFUTED,
         .flag = "mistaken"},
        {0},
};

const struct lab_claim lab_claim_destroy_frees_time_wait = {
        .id = "destroy-frees-time-wait",
        .claim = "SOCK_DESTROY frees a TIME_WAIT's port at once, without RST",
        .source = "Linux commit history (sock_diag); ss -K",
        .experiment = "all 1,000 ports of a range are in TIME_WAIT towards one destination; they "
                      "are destroyed, resets are counted, and connections opened again",
        .confirms = "all ports can be used again at once, and no reset was sent",
        .refutes = "some can't, or resets were sent",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
