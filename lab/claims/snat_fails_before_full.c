/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "lab/lab.h"

enum {
	FIRST = 2000,   /* of the ports to translate to; the client's own lie above them all */
	PORTS = 4000,   /* to translate to */
	FEW = 100,      /* so few that the kernel tries each of them */
	CLIENT = 30000, /* the client's first port */
	FAILURES = 400, /* after which the client's side is looked at */
	TRIES = 40,
	WAIT_MS = 300,
	PORT = 80,
};

struct course {
	unsigned ports;    /* there are */
	unsigned used;     /* at the end */
	unsigned at_first; /* used when the first connection failed */
	unsigned failed;
};

static int make_router(struct lab_trial *trial, unsigned ports, struct lab_router *ret)
{
	int r = lab_trial_ns(trial, &ret->client);
	if (r == 0)
		r = lab_trial_ns(trial, &ret->router);
	if (r == 0)
		r = lab_trial_ns(trial, &ret->server);
	if (r == 0)
		r = lab_router_join(ret, lab_error(trial));
	if (r == 0)
		r = lab_router_translate(ret, FIRST, (uint16_t)(FIRST + ports - 1),
		                         lab_error(trial));
	/* While the ports are used up nobody answers, so that no entry changes. */
	if (r == 0)
		r = lab_nft_drop(&ret->server, PORT, lab_error(trial));
	return r;
}

/* One connection after the other, until FAILURES of them failed. */
static int use_up(struct lab_trial *trial, const struct lab_router *router, struct course *course)
{
	for (unsigned i = 0; i < course->ports * 2 && course->failed < FAILURES; i++) {
		int r = lab_router_try(router, (uint16_t)(CLIENT + i), PORT, lab_error(trial));
		if (r < 0)
			return r;
		course->used += r == 1;
		if (r == 0 && course->failed++ == 0)
			course->at_first = course->used;
	}
	return 0;
}

/* How many of TRIES connections got no answer of any kind in WAIT_MS; *told: how many a refusal. */
static int try_as_client(struct lab_trial *trial, const struct lab_router *router, unsigned *silent,
                         unsigned *told)
{
	struct lab_addr to = lab_addr(LAB_ROUTER_SERVER, PORT);
	struct lab_how how = {.ns = &router->server, .from = &to};
	int r = lab_nft_flush(&router->server, lab_error(trial));
	if (r < 0)
		return r;
	_cleanup_(lp_close_fd) int listener = lab_listen(&how, 128);
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	how = (struct lab_how){.ns = &router->client, .options = LAB_NONBLOCK};
	struct lab_count begun = lab_connect_many(&how, &to, TRIES, &fds);
	if (listener < 0 || begun.error)
		return lp_fail(lab_error(trial), EIO, "the client's connections: %s",
		               strerror(listener < 0 ? -listener : begun.error));
	(void)poll(NULL, 0, WAIT_MS);
	for (size_t i = 0; i < fds.n; i++) {
		int state = lab_tcp_state(fds.items[i]);
		*silent += state == TCP_SYN_SENT;
		*told += state == TCP_CLOSE;
	}
	return 0;
}

static int run(struct lab_trial *trial)
{
	struct course course = {.ports = lab_turned(trial, "few-ports") ? FEW : PORTS};
	_cleanup_(lab_router_done) struct lab_router router = LAB_ROUTER_NONE;
	unsigned silent = 0, told = 0;
	struct lab_conntrack_stats stats = {0};
	int r = make_router(trial, course.ports, &router);
	if (r == 0)
		r = use_up(trial, &router, &course);
	if (r == 0)
		r = try_as_client(trial, &router, &silent, &told);
	if (r == 0)
		r = lab_conntrack_stats(&router.router, &stats, lab_error(trial));
	if (r < 0)
		return r;

	double percent = 100.0 * course.at_first / course.ports;
	lab_counted(trial, "ports", course.ports);
	lab_counted(trial, "used_at_first_failure", course.at_first);
	lab_measured(trial, "used_at_first_failure_percent", percent);
	lab_counted(trial, "failed", course.failed);
	lab_counted(trial, "used_then", course.used);
	lab_counted(trial, "insert_failed", (int64_t)stats.insert_failed);
	lab_counted(trial, "client_got_no_answer", silent);
	lab_counted(trial, "client_was_told", told);
	if (course.failed == 0)
		return lp_fail(lab_error(trial), EPROTO, "no connection failed");
	return lab_verdict_if(trial, course.at_first < course.ports && silent > 0 && told == 0,
	                      "the first connection failed with %u of %u ports used (%.1f %%); "
	                      "later %u of %d got no answer and %u a refusal",
	                      course.at_first, course.ports, percent, silent, TRIES, told);
}

static const struct lab_turn turns[] = {
        {.what = "there are 100 ports to translate to, of which the kernel tries each",
         .expect = LAB_REFUTED,
         .flag = "few-ports"},
        {0},
};

const struct lab_claim lab_claim_snat_fails_before_full = {
        .id = "snat-fails-before-full",
        .claim = "SNAT refuses before its ports are all used, silently",
        .source = "reports of gateways that lose connections at a fraction of their ports",
        .experiment = "a client opens connections to one server through a router that translates "
                      "to 4,000 ports, until the router drops 400; then the client's side is seen",
        .confirms = "the first drop comes with ports left, and the client is told nothing",
        .refutes = "every port is used before the first drop, or the client is told",
        .seconds = 2,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES,
        .busy = true,
        .run = run,
        .turns = turns,
};
