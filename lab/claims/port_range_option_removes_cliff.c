/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>

#include "lab/cost.h"
#include "lab/stand.h"

enum { PORTS = 4000 };

static double steps(const struct lab_sweep *sweep)
{
	return sweep->late_us / sweep->early_us;
}

static int run(struct lab_trial *trial)
{
	uint32_t option = lab_ports(LAB_STAND_LOW, LAB_STAND_LOW + PORTS - 1);
	if (lab_turned(trial, "cleared"))
		option = 0;
	struct lab_sweep plain, with;
	lab_case(trial, "without the option");
	int r = lab_sweep(trial, PORTS, 0, &plain);
	if (r < 0)
		return r;
	lab_sweep_tell(trial, &plain);
	lab_case(trial, "with the option");
	r = lab_sweep(trial, PORTS, option, &with);
	if (r == -ENOPROTOOPT)
		return lab_not_run(trial, "this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)");
	if (r < 0)
		return r;
	lab_sweep_tell(trial, &with);
	lab_case(trial, NULL);

	const char *why = "connect() above half of the range takes %.1f times what it takes below; "
	                  "with IP_LOCAL_PORT_RANGE on the socket %.1f times";
	if (steps(&plain) < LAB_CLIFF)
		return lab_verdict(trial, LAB_DEPENDS, why, steps(&plain), steps(&with));
	return lab_verdict_if(trial, steps(&with) < LAB_CLIFF / 2.0, why, steps(&plain),
	                      steps(&with));
}

static const struct lab_turn turns[] = {
        {.what = "the program clears the option again", .expect = LAB_REFUTED, .flag = "cleared"},
        {.what = "no TIME_WAIT is kept, so that no port is ever in the way",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_port_range_option_removes_cliff = {
        .id = "port-range-option-removes-cliff",
        .claim = "IP_LOCAL_PORT_RANGE on the socket, set to the whole range, removes the cliff of "
                 "connect() at half the range",
        .source = "Linux commit history (the option skips the search of one parity first)",
        .experiment = "the ports of a range of 4,000 are used up towards one destination, with "
                      "the option set on each socket and without; the CPU time of each connect()",
        .confirms = "connect() gets four times as slow or more at half the range without it, less "
                    "than twice as slow with it",
        .refutes = "it gets slow with it too",
        .seconds = 3,
        .busy = true,
        .run = run,
        .turns = turns,
};
