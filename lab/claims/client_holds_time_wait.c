/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum { ROUNDS = 5 };

/* Of how many connections each side was left in TIME_WAIT. */
struct holders {
	unsigned client, server;
};

static int end_one(const struct lab_ns *ns, int listener, enum lab_end end, struct holders *h)
{
	struct lab_addr to = lab_addr_local(listener);
	struct lab_how how = {.ns = ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	int r = lab_pair_open(&how, &to, listener, &pair);
	if (r < 0)
		return r;
	struct lab_addr client = lab_addr_local(pair.client);
	r = lab_pair_close(&pair, end);
	if (r < 0)
		return r;
	h->client += lab_tuple_state(ns, &client, &to) == TCP_TIME_WAIT;
	h->server += lab_tuple_state(ns, &to, &client) == TCP_TIME_WAIT;
	return 0;
}

static int end_some(struct lab_trial *trial, const struct lab_ns *ns, int listener,
                    enum lab_end end, const char *name, struct holders *ret)
{
	struct holders h = {0};
	for (int i = 0; i < ROUNDS; i++) {
		int r = end_one(ns, listener, end, &h);
		if (r < 0)
			return lp_fail(lab_error(trial), -r, "%s: %s", name, strerror(-r));
	}
	lab_case(trial, name);
	lab_counted(trial, "connections", ROUNDS);
	lab_counted(trial, "client_in_time_wait", h.client);
	lab_counted(trial, "server_in_time_wait", h.server);
	*ret = h;
	return 0;
}

static int run(struct lab_trial *trial)
{
	static const struct {
		enum lab_end end;
		const char *name;
	} cases[] = {
	        {LAB_CLIENT_FIRST, "the client closes first"},
	        {LAB_SERVER_FIRST, "the server closes first"},
	        {LAB_TOGETHER, "both close at the same time"},
	        {LAB_RESET, "the client resets the connection"},
	};
	enum { CASES = sizeof(cases) / sizeof(*cases) };
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_plain(trial, &stand);
	if (r < 0)
		return r;

	struct holders held[CASES] = {0};
	unsigned n = lab_turned(trial, "client-first-only") ? 1 : CASES;
	unsigned client = 0, server = 0;
	for (unsigned i = 0; i < n; i++) {
		r = end_some(trial, &stand.ns, stand.listener, cases[i].end, cases[i].name,
		             &held[i]);
		if (r < 0)
			return r;
		client += held[i].client;
		server += held[i].server;
	}
	if (client && server)
		return lab_verdict(
		        trial, LAB_DEPENDS,
		        "on who closes first: of %d connections each, the client kept %u "
		        "and the server %u when the client was first, %u and %u when the "
		        "server was, %u and %u on a simultaneous close, %u and %u after a "
		        "reset",
		        ROUNDS, held[0].client, held[0].server, held[1].client, held[1].server,
		        held[2].client, held[2].server, held[3].client, held[3].server);
	return lab_verdict_if(trial, client > 0, "%u TIME_WAITs at the client, %u at the server",
	                      client, server);
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {.what = "nobody but the client closes first",
         .expect = LAB_CONFIRMED,
         .flag = "client-first-only"},
        {0},
};

const struct lab_claim lab_claim_client_holds_time_wait = {
        .id = "client-holds-time-wait",
        .claim = "it is the client that holds TIME_WAIT",
        .source = "textbook drawings in which the client closes first; RFC 9293 section 3.6 says "
                  "whoever closes first",
        .experiment = "connections are closed by the client first, by the server first, by both "
                      "at once, and reset; the kernel is asked for the state of each end",
        .confirms = "TIME_WAIT at the client's end only, whoever closes",
        .refutes = "TIME_WAIT never at the client's end",
        .seconds = 3,
        .run = run,
        .turns = turns,
};
