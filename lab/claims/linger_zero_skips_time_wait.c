/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <sys/socket.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum {
	CONNECTIONS = 100,
	PORTS = 400,
	SMALL = 100,  /* bytes that have arrived before close() */
	PIECE = 4096, /* what is written at once until the socket takes no more */
	LINGER_S = 1,
};

/* What became of one kind of close(). */
struct outcome {
	int time_wait;
	int64_t sent, received;
};

/* seconds < 0: the option is not used. */
static int set_linger(int fd, int seconds)
{
	struct linger linger = {.l_onoff = seconds >= 0, .l_linger = seconds > 0 ? seconds : 0};
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ? -errno : 0;
}

/* Writes as much as the socket takes, or only what surely arrives. Bytes, or a negative errno. */
static int64_t send_some(int fd, bool little)
{
	char piece[PIECE] = "";
	int64_t sent = 0;
	for (;;) {
		ssize_t n = send(fd, piece, little ? SMALL : PIECE, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? sent : -errno;
		sent += n;
		if (little)
			return sent;
	}
}

/* Reads to the end, be it a reset. Bytes, or a negative errno. */
static int64_t read_all(int fd)
{
	char away[65536];
	struct timeval patience = {.tv_sec = LAB_TIMEOUT_MS / 1000};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	int64_t got = 0;
	for (;;) {
		ssize_t n = recv(fd, away, sizeof(away), 0);
		if (n < 0 && errno != ECONNRESET)
			return -errno;
		if (n <= 0)
			return got;
		got += n;
	}
}

/* The server does not read before the client has closed: what it has no room for is in flight. */
static int lose_data(const struct lab_stand *stand, int seconds, bool little, struct outcome *o)
{
	struct lab_how how = {.ns = &stand->ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	int r = lab_pair_open(&how, &stand->to, stand->listener, &pair);
	if (r < 0)
		return r;
	_cleanup_(lp_close_fd) int server = pair.server;
	o->sent = send_some(pair.client, little);
	r = set_linger(pair.client, seconds);
	(void)close(pair.client);
	o->received = read_all(server);
	if (r < 0)
		return r;
	return o->sent < 0 ? (int)o->sent : o->received < 0 ? (int)o->received : 0;
}

static int close_many(const struct lab_stand *stand, int seconds)
{
	struct lab_how how = {.ns = &stand->ns};
	for (int i = 0; i < CONNECTIONS; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		int r = lab_pair_open(&how, &stand->to, stand->listener, &pair);
		if (r < 0)
			return r;
		r = set_linger(pair.client, seconds);
		int closed = lab_pair_close(&pair, LAB_CLIENT_FIRST);
		if (r == 0 && closed != -ECONNRESET) /* what closing with zero looks like */
			r = closed;
		if (r < 0)
			return r;
	}
	return 0;
}

static int measure(struct lab_trial *trial, const char *name, int seconds, bool little,
                   struct outcome *o)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, PORTS, &stand);
	if (r == 0)
		r = close_many(&stand, seconds);
	if (r < 0)
		return r;
	o->time_wait = lab_time_wait_count(&stand.ns);
	r = lose_data(&stand, seconds, little, o);
	if (r < 0)
		return r;
	lab_case(trial, name);
	lab_counted(trial, "connections_closed", CONNECTIONS);
	lab_counted(trial, "time_wait", o->time_wait);
	lab_counted(trial, "bytes_sent", o->sent);
	lab_counted(trial, "bytes_received", o->received);
	lab_case(trial, NULL);
	return 0;
}

static int run(struct lab_trial *trial)
{
	struct outcome plain, zero;
	bool little = lab_turned(trial, "arrived");
	int r = measure(trial, "close() alone", -1, little, &plain);
	if (r == 0)
		r = measure(trial, "SO_LINGER 0", lab_turned(trial, "lingers") ? LINGER_S : 0,
		            little, &zero);
	if (r < 0)
		return r;
	const char *why = "%d of %d connections closed so left TIME_WAIT (%d without the option), "
	                  "and %lld of %lld bytes were lost";
	long long lost = zero.sent - zero.received;
	bool skips = zero.time_wait == 0 && plain.time_wait == CONNECTIONS;
	if (skips && lost == 0)
		return lab_verdict(trial, LAB_DEPENDS, why, zero.time_wait, CONNECTIONS,
		                   plain.time_wait, lost, (long long)zero.sent);
	return lab_verdict_if(trial, skips && plain.received == plain.sent, why, zero.time_wait,
	                      CONNECTIONS, plain.time_wait, lost, (long long)zero.sent);
}

static const struct lab_turn turns[] = {
        {.what = "SO_LINGER is one second", .expect = LAB_REFUTED, .flag = "lingers"},
        {.what = "all data has arrived before close()", .expect = LAB_DEPENDS, .flag = "arrived"},
        {0},
};

const struct lab_claim lab_claim_linger_zero_skips_time_wait = {
        .id = "linger-zero-skips-time-wait",
        .claim = "SO_LINGER 0 avoids TIME_WAIT, and loses data in flight",
        .source = "RFC 9293 section 3.10.7 (abort); forum advice",
        .experiment = "100 connections are closed with SO_LINGER 0 and 100 without; then one of "
                      "each with more written than the other end has taken",
        .confirms = "no TIME_WAIT and bytes lost with it; TIME_WAIT and none lost without",
        .refutes = "TIME_WAIT stays",
        .seconds = 2,
        .run = run,
        .turns = turns,
};
