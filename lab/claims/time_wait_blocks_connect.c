/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "lab/hosts.h"
#include "lab/lab.h"

enum { PORTS = 100, ATTEMPTS = 10 * PORTS, RETRY_MS = 100, RETRIES = 25 };

/* Seconds until a connection to the first destination works again, or -1. */
static double freed_after(const struct lab_trial *trial, const struct lab_hosts *hosts)
{
	struct lab_how how = {.ns = &hosts->client};
	int64_t start = lp_clock_ns();
	for (int i = 0; i < RETRIES; i++) {
		struct lab_pair pair;
		if (lab_pair_open(&how, &hosts->to, hosts->listener, &pair) == 0) {
			(void)lab_pair_close(&pair, LAB_RESET);
			return lab_seconds_since(trial, start);
		}
		lp_clock_sleep_ms(RETRY_MS);
	}
	return -1;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_hosts_done) struct lab_hosts hosts = LAB_HOSTS_NONE;
	int r = lab_hosts_make(trial, "40000 40099", &hosts);
	if (r < 0)
		return r;
	struct lab_addr other;
	_cleanup_(lp_close_fd) int listener = lab_hosts_listen(trial, &hosts, "10.8.0.3", &other);
	if (listener < 0)
		return listener;

	struct lab_how how = {.ns = &hosts.client};
	struct lab_count done =
	        lab_open_and_end(&how, &hosts.to, hosts.listener, LAB_CLIENT_FIRST, ATTEMPTS);
	int time_wait = lab_time_wait_count(&hosts.client);
	struct lab_count elsewhere = lab_open_and_end(&how, &other, listener, LAB_CLIENT_FIRST, 1);
	double freed_s = done.error ? freed_after(trial, &hosts) : 0;

	lab_counted(trial, "local_ports", PORTS);
	lab_counted(trial, "connections_made", done.n);
	lab_counted(trial, "time_wait", time_wait);
	lab_told(trial, "then", done.error ? strerror(done.error) : "nothing refused");
	lab_saw(trial, "other_address_works", elsewhere.n == 1);
	if (freed_s >= 0)
		lab_measured(trial, "works_again_after_s", freed_s);
	if (done.error && (done.error != EADDRNOTAVAIL || time_wait < 0))
		return lp_fail(lab_error(trial), done.error, "connection %u: %s", done.n,
		               strerror(done.error));
	if (done.error && freed_s >= 0)
		return lab_verdict(trial, LAB_DEPENDS,
		                   "refused after %u connections over %d ports, but for %.1f s "
		                   "only: then a TIME_WAIT's port was used again",
		                   done.n, PORTS, freed_s);
	return lab_verdict_if(
	        trial, done.error && time_wait >= PORTS,
	        "%u connections over %d local ports left %d TIME_WAITs; %s; to another "
	        "address a connection %s",
	        done.n, PORTS, time_wait,
	        done.error ? "the next one got EADDRNOTAVAIL" : "none was refused",
	        elsewhere.n ? "worked" : "failed");
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {.what = "ports in TIME_WAIT may be used again",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_tw_reuse", "1"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_blocks_connect = {
        .id = "time-wait-blocks-connect",
        .claim = "too many TIME_WAITs to one address and port make new outbound connections fail",
        .source = "RFC 6056 section 2.2 tells of it; \"cannot assign requested address\" in many "
                  "forums",
        .experiment = "a client with 100 local ports opens connections to one server over a wire "
                      "and closes each first, until one is refused; then it tries on for 2.5 s",
        .confirms = "EADDRNOTAVAIL when every port is in TIME_WAIT, and for as long as it is tried",
        .refutes = "ten times as many connections as ports and none refused",
        .seconds = 3,
        .run = run,
        .turns = turns,
};
