/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum { DESCRIPTORS = 64, CONNECTIONS = 1000 };

/*
 * Connections to a server whose program never closes (or does, when told to), each closed by the
 * client. All ends are in this process, so the client's must be gone before the next one.
 */
static struct lab_count leave_open(const struct lab_how *how, const struct lab_addr *to,
                                   int listener, bool server_closes, struct lab_fds *held)
{
	struct lab_count count = {0};
	while (count.n < CONNECTIONS && !count.error) {
		struct lab_pair pair = LAB_PAIR_NONE;
		int r = lab_pair_open(how, to, listener, &pair);
		if (r == 0 && server_closes) {
			r = lab_pair_close(&pair, LAB_CLIENT_FIRST);
		} else if (r == 0) {
			(void)close(pair.client);
			r = lab_hold(held, pair.server);
			if (r == 0)
				r = lab_wait_eof(pair.server, LAB_TIMEOUT_MS);
		}
		count.error = -r;
		count.n += r == 0;
	}
	return count;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_plain(trial, &stand);
	if (r < 0)
		return r;
	/* what is made while few are allowed is made inside the namespace, with no descriptor */
	_cleanup_(lab_leave) int home = lab_enter(&stand.ns);
	if (home < 0)
		return home;
	struct lab_how how = {0};

	struct rlimit before, few = {DESCRIPTORS, DESCRIPTORS};
	if (getrlimit(RLIMIT_NOFILE, &before) < 0)
		return lp_errno();
	few.rlim_max = before.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return lp_errno();
	_cleanup_(lab_fds_done) struct lab_fds held = {0};
	struct lab_count done = leave_open(&how, &stand.to, stand.listener,
	                                   lab_turned(trial, "server-closes"), &held);
	(void)setrlimit(RLIMIT_NOFILE, &before);
	unsigned close_wait = 0;
	for (size_t i = 0; i < held.n; i++)
		close_wait += lab_tcp_state(held.items[i]) == TCP_CLOSE_WAIT;

	lab_counted(trial, "descriptors_allowed", DESCRIPTORS);
	lab_counted(trial, "connections_made", done.n);
	lab_counted(trial, "close_wait", close_wait);
	lab_told(trial, "then", done.error ? strerror(done.error) : "nothing refused");
	if (done.error && done.error != EMFILE)
		return lp_fail(lab_error(trial), done.error, "connection %u: %s", done.n,
		               strerror(done.error));
	return lab_verdict_if(
	        trial, done.error == EMFILE && close_wait > DESCRIPTORS / 2,
	        "with %d descriptors allowed and %u sockets in CLOSE_WAIT, %s after %u "
	        "connections that their client had closed",
	        DESCRIPTORS, close_wait, done.error ? "too many open files" : "nothing was refused",
	        done.n);
}

static const struct lab_turn turns[] = {
        {.what = "the server's program closes too", .expect = LAB_REFUTED, .flag = "server-closes"},
        {0},
};

const struct lab_claim lab_claim_close_wait_holds_descriptors = {
        .id = "close-wait-holds-descriptors",
        .claim = "the sockets that do keep descriptors are those in CLOSE_WAIT",
        .source = "RFC 9293 section 3.3.2: CLOSE_WAIT waits for the local program to close",
        .experiment = "a server that may open 64 descriptors never closes connections which their "
                      "clients have closed",
        .confirms = "EMFILE with as many CLOSE_WAITs as descriptors",
        .refutes = "1,000 connections without EMFILE",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
