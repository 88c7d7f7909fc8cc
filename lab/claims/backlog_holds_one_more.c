/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "lab/lab.h"
#include "lab/wired.h"

enum {
	BACKLOG = 8,
	CLIENT_PORT = 5000,
	MOST = 2 * BACKLOG, /* how many try */
	SILENCE_MS = 300,
};

/* Connections that wait in the accept queue: for a listener, what ss shows as Recv-Q. */
static int queued(int listener)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return -errno;
	return (int)info.tcpi_unacked;
}

static void prepare(const struct lab_wired *w, uint16_t first_port, struct lab_talk talks[MOST])
{
	for (unsigned i = 0; i < MOST; i++)
		talks[i] = lab_wired_client(w, (uint16_t)(first_port + i), 1000);
}

/*
 * One after the other until a SYN is not answered any more. *ret: how many connected; *answer: what
 * the one too many heard.
 */
static int fill_by_syns(const struct lab_wired *w, unsigned *ret, const char **answer)
{
	struct lab_talk talks[MOST];
	prepare(w, CLIENT_PORT, talks);
	for (unsigned i = 0; i < MOST; i++) {
		struct lab_segment heard = {0};
		int r = lab_talk_send(&talks[i], TH_SYN, NULL, 0);
		if (r == 0)
			r = lab_talk_wait(&talks[i], 0, 0, SILENCE_MS, &heard);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
		if (r < 0 || heard.flags & TH_RST) {
			*ret = i;
			*answer = lab_wired_heard(r, &heard);
			return 0;
		}
		r = lab_talk_send(&talks[i], TH_ACK, NULL, 0);
		if (r < 0)
			return r;
	}
	*ret = MOST;
	*answer = "SYN-ACK";
	return 0;
}

/*
 * Two shake hands while there is room for one: both SYNs are answered, the second one's ACK is the
 * one too many. *answer: what it hears.
 */
static int overflow_by_ack(const struct lab_wired *w, unsigned room, const char **answer)
{
	struct lab_talk talks[MOST];
	prepare(w, CLIENT_PORT + MOST, talks);
	int r = 0;
	for (unsigned i = 0; r == 0 && i < room - 1; i++)
		r = lab_talk_connect(&talks[i]);
	for (unsigned i = room - 1; r == 0 && i <= room; i++) {
		r = lab_talk_send(&talks[i], TH_SYN, NULL, 0);
		if (r == 0)
			r = lab_talk_wait(&talks[i], TH_SYN, TH_SYN, LAB_TIMEOUT_MS, NULL);
	}
	for (unsigned i = room - 1; r == 0 && i <= room; i++)
		r = lab_talk_send(&talks[i], TH_ACK, NULL, 0);
	if (r < 0)
		return r;
	struct lab_segment heard = {0};
	r = lab_talk_wait(&talks[room], TH_SYN, 0, SILENCE_MS, &heard);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	*answer = lab_wired_heard(r, &heard);
	return 0;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_wired_done) struct lab_wired w = LAB_WIRED_NONE;
	const char *to_syn = "", *to_ack = "";
	unsigned held = 0;
	int r = lab_wired_make(trial, BACKLOG, &w);
	if (r == 0)
		r = fill_by_syns(&w, &held, &to_syn);
	if (r < 0)
		return r;
	int waiting = queued(w.listener);
	if (held == 0 || held == MOST)
		return lp_fail(lab_error(trial), EPROTO, "%u connections in a backlog of %d", held,
		               BACKLOG);
	(void)lab_drain(w.listener);
	r = overflow_by_ack(&w, held, &to_ack);
	if (r < 0)
		return r;
	lab_counted(trial, "backlog", BACKLOG);
	lab_counted(trial, "connected", held);
	lab_counted(trial, "waiting_in_the_queue", waiting);
	lab_told(trial, "answer_to_one_syn_more", to_syn);
	lab_told(trial, "answer_to_one_ack_more", to_ack);
	lab_counted(trial, "listen_overflows", lab_counter(&w.ns, "TcpExt", "ListenOverflows"));
	const char *why = "a backlog of %d held %u connections (the queue counts %d); one SYN more "
	                  "was answered by %s, one handshake's last ACK more by %s";
	bool one_more = held == BACKLOG + 1 && waiting == BACKLOG + 1;
	if (one_more && strcmp(to_syn, to_ack) != 0)
		return lab_verdict(trial, LAB_DEPENDS, why, BACKLOG, held, waiting, to_syn, to_ack);
	return lab_verdict_if(trial, one_more && !strcmp(to_syn, "nothing"), why, BACKLOG, held,
	                      waiting, to_syn, to_ack);
}

static const struct lab_turn turns[] = {
        {.what = "somaxconn is below the backlog",
         .expect = LAB_REFUTED,
         .sysctls = {{"core/somaxconn", "2"}}},
        {.what = "tcp_abort_on_overflow is on",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_abort_on_overflow", "1"}}},
        {0},
};

const struct lab_claim lab_claim_backlog_holds_one_more = {
        .id = "backlog-holds-one-more",
        .claim = "the accept queue holds backlog + 1 connections, and its overflow is silent",
        .source = "listen(2) says backlog; tuning guides",
        .experiment = "nobody accepts from a listener with a backlog of 8: connections are made "
                      "until a SYN is not answered; then the queue is made to overflow by the "
                      "last ACK of a handshake",
        .confirms = "9 connections, and nothing is heard by the one too many",
        .refutes = "another number, or it hears a reset",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
