/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/tracked.h"

enum { ROOM = 500, TIMEOUT_MS = 500 };

/* How many ports a connect() may choose from. */
static int range_of(struct lab_trial *trial, const struct lab_ns *ns, uint16_t *first,
                    uint32_t *ports)
{
	char text[64];
	unsigned low, high;
	int r = lab_sysctl_get(ns, lab_error(trial), "ipv4/ip_local_port_range", text,
	                       sizeof(text));
	if (r < 0)
		return r;
	if (sscanf(text, "%u %u", &low, &high) != 2 || low > high || high > UINT16_MAX)
		return lp_fail(lab_error(trial), EINVAL, "ip_local_port_range: %s", text);
	*first = (uint16_t)low;
	*ports = high - low + 1;
	return 0;
}

/*
 * As a client would that has used half its ports towards each of many servers: the table has room
 * for ROOM more.
 */
static int use_half_of_the_ports(struct lab_trial *trial, const struct lab_tracked *tracked,
                                 uint16_t first, uint32_t half)
{
	struct lab_conntrack_fill fill = {.from = lab_addr("127.0.0.1", first),
	                                  .to = lab_addr("127.1.0.1", 443),
	                                  .ports = half ? half : 1};
	int r = lab_conntrack_fill_up(&tracked->ns, &fill, ROOM, lab_error(trial));
	if (r < 0)
		return r;
	lab_counted(trial, "entries_to_others", fill.n);
	lab_counted(trial, "other_destinations", (fill.n + fill.ports - 1) / fill.ports);
	lab_counted(trial, "ports_used_to_each", fill.ports);
	return 0;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_tracked_done) struct lab_tracked tracked = LAB_TRACKED_NONE;
	uint16_t first = 0;
	uint32_t ports = 0;
	int r = lab_tracked_make(trial, &tracked);
	if (r == 0)
		r = range_of(trial, &tracked.ns, &first, &ports);
	if (r == 0)
		r = use_half_of_the_ports(trial, &tracked, first, ports / 2);
	if (r < 0)
		return r;

	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_how how = {.ns = &tracked.ns, .timeout_ms = TIMEOUT_MS};
	struct lab_count opened = lab_connect_many(&how, &tracked.to, ROOM * 2, &fds);
	struct lab_conntrack_stats stats;
	r = lab_conntrack_stats(&tracked.ns, &stats, lab_error(trial));
	if (r < 0)
		return r;
	uint32_t left = ports > opened.n ? ports - opened.n : 0;

	lab_counted(trial, "ports", ports);
	lab_counted(trial, "opened", opened.n);
	lab_told(trial, "refused_with", opened.error ? strerror(opened.error) : "nothing");
	lab_counted(trial, "packets_dropped", (int64_t)stats.drop);
	lab_counted(trial, "ports_left", left);
	if (opened.error != ETIMEDOUT && opened.error != EADDRNOTAVAIL)
		return lp_fail(lab_error(trial), EIO, "connect(): %s", strerror(opened.error));
	return lab_verdict_if(
	        trial, opened.error == ETIMEDOUT && stats.drop > 0 && left > 0,
	        "after %u connections more: %s, with %u of %u ports left towards that "
	        "destination and half of them towards the others",
	        opened.n, strerror(opened.error), left, ports);
}

static const struct lab_turn turns[] = {
        {.what = "connect() may choose from 100 ports only",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/ip_local_port_range", "40000 40099"}}},
        {0},
};

const struct lab_claim lab_claim_conntrack_fills_before_ports = {
        .id = "conntrack-fills-before-ports",
        .claim = "the conntrack limit can hit long before the ports run out",
        .source = "guides to busy clients and NAT gateways",
        .experiment = "the table of a client is filled as it would be with half of the ports in "
                      "use towards each of many servers; then it connects until it is refused",
        .confirms = "packets dropped by conntrack while ports are left",
        .refutes = "connect() finds no port while the table has room",
        .seconds = 3,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES,
        .busy = true,
        .run = run,
        .turns = turns,
};
