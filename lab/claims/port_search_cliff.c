/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>

#include "lab/cost.h"
#include "lab/stand.h"

enum {
	PORTS = 4000,
	LONG_BEFORE = 60, /* percent */
};

static int run(struct lab_trial *trial)
{
	uint32_t option = 0;
	if (lab_turned(trial, "option"))
		option = lab_ports(LAB_STAND_LOW, LAB_STAND_LOW + PORTS - 1);
	struct lab_sweep sweep;
	int r = lab_sweep(trial, PORTS, option, &sweep);
	if (r < 0)
		return r;
	lab_sweep_tell(trial, &sweep);
	bool early = sweep.cliff_percent < LONG_BEFORE && sweep.opened == PORTS;
	return lab_verdict_if(
	        trial, early && sweep.late_us >= LAB_CLIFF * sweep.early_us,
	        "in a range of %d ports connect() took %.0f µs below half and %.0f µs "
	        "above; it was four times as slow from %.0f %% on; %u were opened",
	        PORTS, sweep.early_us, sweep.late_us, sweep.cliff_percent, sweep.opened);
}

static const struct lab_turn turns[] = {
        {.what = "every socket has IP_LOCAL_PORT_RANGE set",
         .expect = LAB_REFUTED,
         .flag = "option"},
        {.what = "no TIME_WAIT is kept, so that no port is ever in the way",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_port_search_cliff = {
        .id = "port-search-cliff",
        .claim = "connect() gets slow at half the port range, long before it fails",
        .source = "haproxy and load generator bug reports (CPU jumps at half the range)",
        .experiment = "connections to one destination until none of 4,000 ports is left, each "
                      "left in TIME_WAIT; the CPU time of each connect()",
        .confirms = "four times as slow before 60 % of the range are used, and not refused before "
                    "all are",
        .refutes = "as fast as before until nearly all are used",
        .seconds = 2,
        .busy = true,
        .run = run,
        .turns = turns,
};
