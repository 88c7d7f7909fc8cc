/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>

#include "lab/lab.h"
#include "lab/wired.h"

enum {
	PORTS = 65535,      /* all that one client address can have */
	PORTS_TURNED = 500, /* enough where each is tried twice in vain */
	FIRST = 1000,
	STAMP = 1000000,
};

static struct lab_talk client_at(const struct lab_wired *w, unsigned port)
{
	struct lab_talk talk = lab_wired_client(w, (uint16_t)port, FIRST);
	talk.stamped = true;
	talk.stamp = STAMP;
	return talk;
}

/*
 * What a client does whose SYN meets an ACK of something else: it resets that, and says SYN again.
 * 1: accepted, 0: refused, or a negative errno.
 */
static int try_again(struct lab_talk *talk)
{
	struct lab_talk first = *talk;
	for (int tries = 0; tries < 2; tries++) {
		struct lab_segment answer = {0};
		*talk = first;
		int r = lab_talk_send(talk, TH_SYN, NULL, 0);
		if (r == 0)
			r = lab_talk_wait(talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, &answer);
		if (r < 0)
			return r == -ETIMEDOUT ? 0 : r;
		if ((answer.flags & (TH_SYN | TH_RST)) == TH_SYN && answer.ack == talk->next)
			return lab_talk_send(talk, TH_ACK, NULL, 0) < 0 ? -EIO : 1;
		struct lab_segment reset = lab_talk_segment(talk, TH_RST, NULL, 0);
		reset.seq = answer.ack;
		r = lab_wire_send(talk->wire, &reset);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill(const struct lab_wired *w, unsigned ports)
{
	for (unsigned port = 1; port <= ports; port++) {
		struct lab_talk talk = client_at(w, port);
		int r = lab_talk_connect(&talk);
		if (r == 0)
			r = lab_wired_end(w, &talk, false);
		if (r < 0)
			return r;
	}
	return 0;
}

/* From every port once more: how many were accepted, or a negative errno. */
static int connect_again(const struct lab_wired *w, unsigned ports, uint32_t stamp)
{
	int accepted = 0;
	for (unsigned port = 1; port <= ports; port++) {
		struct lab_talk talk = client_at(w, port);
		talk.next += 100000;
		talk.stamp = stamp;
		int r = try_again(&talk);
		if (r > 0) {
			accepted++;
			r = lab_wired_end(w, &talk, false); /* in TIME_WAIT for those to come */
		}
		if (r < 0)
			return r;
	}
	return accepted;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_wired_done) struct lab_wired w = LAB_WIRED_NONE;
	bool older = lab_turned(trial, "older-client");
	unsigned ports = older ? PORTS_TURNED : PORTS;
	int r = lab_wired_make(trial, 16, &w);
	if (r == 0) /* the default is lower where memory is small */
		r = lab_sysctl(&w.ns, lab_error(trial), "ipv4/tcp_max_tw_buckets", "%d", 2 * PORTS);
	if (r == 0)
		r = fill(&w, ports);
	if (r < 0)
		return r;
	int before = lab_time_wait_count(&w.ns);
	int accepted = connect_again(&w, ports, older ? STAMP / 2 : STAMP + 1);
	if (accepted < 0)
		return accepted;
	lab_counted(trial, "ports_of_the_client", ports);
	lab_counted(trial, "time_wait_at_the_server", before);
	lab_counted(trial, "then_accepted", accepted);
	const char *why = "%d TIME_WAITs at the server for one client address and one port of its "
	                  "own, then a SYN from each of them: %d accepted";
	if (accepted > 0 && (unsigned)accepted < ports)
		return lab_verdict(trial, LAB_DEPENDS, why, before, accepted);
	return lab_verdict_if(trial, accepted == 0, why, before, accepted);
}

static const struct lab_turn turns[] = {
        {.what = "the clock of the next client behind that address is behind, and tcp_rfc1337 "
                 "keeps its reset from ending the TIME_WAIT",
         .expect = LAB_CONFIRMED,
         /* unlimited, the second try is answered too, and not waited for in vain */
         .sysctls = {{"ipv4/tcp_rfc1337", "1"}, {"ipv4/tcp_invalid_ratelimit", "0"}},
         .flag = "older-client"},
        {0},
};

const struct lab_claim lab_claim_server_refuses_at_64k_per_client = {
        .id = "server-refuses-at-64k-per-client",
        .claim = "a server with 64 k TIME_WAITs for one client can't accept from it any more",
        .source = "forum advice; RFC 9293 section 3.6.1 lets a SYN end a TIME_WAIT",
        .experiment = "one client address connects to one listener from each of its 65,535 ports, "
                      "the server closes first every time; then it connects from each port again",
        .confirms = "none of the new connections is accepted",
        .refutes = "all of them are, each on a tuple in TIME_WAIT",
        .seconds = 4,
        .run = run,
        .turns = turns,
};
