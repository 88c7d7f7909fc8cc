/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "lab/lab.h"

enum { EACH = 10 };

/* Connections that wait for an answer, some given up half-way; then one that is refused. */
static int begin_some(const struct lab_ns *ns, const struct lab_addr *silent,
                      struct lab_fds *opening)
{
	struct lab_how how = {.ns = ns, .options = LAB_NONBLOCK};
	struct lab_count begun = lab_connect_many(&how, silent, EACH, opening);
	if (begun.error)
		return -begun.error;
	for (size_t i = 0; i < opening->n; i++) {
		int state = lab_tcp_state(opening->items[i]);
		if (state != TCP_SYN_SENT)
			return state < 0 ? state : -EPROTO;
	}
	(void)close(opening->items[--opening->n]);
	struct lab_addr nobody = lab_addr("127.0.0.1", 9);
	how.options = 0;
	int r = lab_connect(&how, &nobody);
	if (r >= 0)
		(void)close(r);
	return r == -ECONNREFUSED ? 0 : -EPROTO;
}

/* Connections that the other end began and left at the SYN: SYN_RECV here. */
static int be_begun(const struct lab_wire *wire, const struct lab_addr *here,
                    const struct lab_addr *far)
{
	struct lab_talk talk = {.wire = wire, .self = *far, .other = *here};
	for (unsigned i = 0; i < EACH; i++) {
		lab_addr_set_port(&talk.self, (uint16_t)(20000 + i));
		int r = lab_talk_send(&talk, TH_SYN, NULL, 0);
		if (r == 0)
			r = lab_talk_wait(&talk, TH_SYN | TH_ACK, TH_SYN | TH_ACK, LAB_TIMEOUT_MS,
			                  NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct lab_trial *trial)
{
	struct lp_error *err = lab_error(trial);
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_wire_done) struct lab_wire wire = LAB_WIRE_NONE;
	int r = lab_trial_ns(trial, &ns);
	if (r == 0)
		r = lab_wire_open(&ns, "10.9.0.1/24", &wire, err);
	if (r < 0)
		return r;
	struct lab_addr here = lab_addr("10.9.0.1", 80), far = lab_addr("10.9.0.2", 80);
	struct lab_how how = {.ns = &ns, .from = &here};
	_cleanup_(lp_close_fd) int listener = lab_listen(&how, EACH);
	if (listener < 0)
		return listener;

	_cleanup_(lab_fds_done) struct lab_fds opening = {0};
	r = begin_some(&ns, &far, &opening);
	if (r == 0)
		r = be_begun(&wire, &here, &far);
	if (r < 0)
		return lp_fail(err, -r, "half-open connections: %s", strerror(-r));
	int opening_count = lab_time_wait_count(&ns);
	how.from = NULL;
	struct lab_count done = lab_open_and_end(&how, &here, listener, LAB_CLIENT_FIRST, EACH);
	int ended_count = lab_time_wait_count(&ns);
	if (opening_count < 0 || ended_count < 0 || done.error)
		return lp_fail(err, EIO, "connection %u: %s", done.n, strerror(done.error));

	lab_counted(trial, "not_yet_established", 2 * EACH);
	lab_counted(trial, "time_wait_then", opening_count);
	lab_counted(trial, "established_and_closed", done.n);
	lab_counted(trial, "time_wait_after", ended_count);
	if (ended_count == 0)
		return lab_verdict(trial, LAB_DEPENDS, "no connection left a TIME_WAIT at all");
	return lab_verdict_if(
	        trial, opening_count > 0,
	        "%d connections in SYN_SENT and SYN_RECV, one given up and one refused: "
	        "%d TIME_WAITs; %u that were established and closed: %d",
	        2 * EACH, opening_count, done.n, ended_count - opening_count);
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_means_not_yet_established = {
        .id = "time-wait-means-not-yet-established",
        .claim = "a socket in TIME_WAIT waits for a connection that is not established yet",
        .source = "forum answers that explain netstat; against RFC 9293 section 3.3.2",
        .experiment = "connections are begun from both sides and left half-open, given up and "
                      "refused; others are established and closed; TIME_WAITs are counted after "
                      "each",
        .confirms = "a TIME_WAIT before any connection was established",
        .refutes = "TIME_WAITs only after established connections were closed",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
