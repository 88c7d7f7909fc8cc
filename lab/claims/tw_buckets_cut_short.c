/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include "lab/lab.h"
#include "lab/stand.h"

enum {
	LIMIT = 50,
	CONNECTIONS = 200,
	PORTS = 400,
};

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int limit = lab_turned(trial, "roomy") ? CONNECTIONS : LIMIT;
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, PORTS, &stand);
	if (r == 0)
		r = lab_sysctl(&stand.ns, lab_error(trial), "ipv4/tcp_max_tw_buckets", "%d", limit);
	if (r < 0)
		return r;
	struct lab_how how = {.ns = &stand.ns};
	struct lab_count done =
	        lab_open_and_end(&how, &stand.to, stand.listener, LAB_CLIENT_FIRST, CONNECTIONS);
	if (done.error)
		return -done.error;
	int kept = lab_time_wait_count(&stand.ns);
	int64_t cut = lab_counter(&stand.ns, "TcpExt", "TCPTimeWaitOverflow");
	lab_counted(trial, "tcp_max_tw_buckets", limit);
	lab_counted(trial, "connections_closed", done.n);
	lab_counted(trial, "time_wait_kept", kept);
	lab_counted(trial, "time_wait_overflows", cut);
	return lab_verdict_if(trial, kept >= 0 && kept < CONNECTIONS && cut > 0,
	                      "with tcp_max_tw_buckets %d, %u connections closed first leave %d "
	                      "TIME_WAITs; TCPTimeWaitOverflow counts %d",
	                      limit, done.n, kept, (int)cut);
}

static const struct lab_turn turns[] = {
        {.what = "the limit is as high as the number of connections",
         .expect = LAB_REFUTED,
         .flag = "roomy"},
        {0},
};

const struct lab_claim lab_claim_tw_buckets_cut_short = {
        .id = "tw-buckets-cut-short",
        .claim = "beyond tcp_max_tw_buckets TIME_WAIT is destroyed",
        .source = "Linux Documentation/networking/ip-sysctl",
        .experiment = "200 connections are closed first where 50 TIME_WAITs are allowed; those "
                      "that are left are counted",
        .confirms = "fewer are left than were closed, and TCPTimeWaitOverflow counts",
        .refutes = "all are left",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
