/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/tracked.h"

enum { TRIES = 20, ROUNDS = 20, WAIT_MS = 500 };

static bool carried(int from, int to)
{
	char byte = 'x';
	struct timeval patience = {.tv_sec = 2};
	return setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	       send(from, &byte, 1, MSG_NOSIGNAL) == 1 && recv(to, &byte, 1, 0) == 1;
}

/* How many times a byte went there and back. */
static unsigned talk(const struct lab_pair *pair)
{
	unsigned n = 0;
	while (n < ROUNDS && carried(pair->client, pair->server) &&
	       carried(pair->server, pair->client))
		n++;
	return n;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_tracked_done) struct lab_tracked tracked = LAB_TRACKED_NONE;
	int r = lab_tracked_make(trial, &tracked);
	if (r < 0)
		return r;
	struct lab_how how = {.ns = &tracked.ns};
	struct lab_pair known = LAB_PAIR_NONE;
	r = lab_pair_open(&how, &tracked.to, tracked.listener, &known);
	if (r < 0)
		return lp_fail(lab_error(trial), -r, "connect: %s", strerror(-r));
	r = lab_tracked_fill(trial, &tracked, 0, lab_turned(trial, "short-lived"));
	if (r < 0)
		return r;
	int64_t entries = lab_conntrack_count(&tracked.ns, lab_error(trial));
	unsigned opened = lab_tracked_connect(&tracked, TRIES, WAIT_MS);
	unsigned rounds = talk(&known);
	struct lab_conntrack_stats stats;
	r = lab_conntrack_stats(&tracked.ns, &stats, lab_error(trial));
	if (r < 0 || entries < 0)
		return r < 0 ? r : (int)entries;

	lab_counted(trial, "entries", entries);
	lab_counted(trial, "tried", TRIES);
	lab_counted(trial, "opened", opened);
	lab_counted(trial, "packets_dropped", (int64_t)stats.drop);
	lab_counted(trial, "entries_evicted", (int64_t)stats.early_drop);
	lab_counted(trial, "bytes_on_the_known_one", 2 * rounds);
	if (opened == 0 && rounds < ROUNDS)
		return lab_verdict(trial, LAB_REFUTED,
		                   "with %" PRId64 " entries the known connection stopped too",
		                   entries);
	return lab_verdict_if(trial, opened == 0 && stats.drop >= TRIES,
	                      "with %" PRId64 " entries %u of %u new connections got through, "
	                      "%" PRIu64 " packets were dropped and %" PRIu64
	                      " entries evicted; the known connection went on",
	                      entries, opened, TRIES, stats.drop, stats.early_drop);
}

static const struct lab_turn turns[] = {
        {.what = "no entry of the table has seen an answer, so the kernel may evict it",
         .expect = LAB_REFUTED,
         .flag = "short-lived"},
        {0},
};

const struct lab_claim lab_claim_conntrack_full_drops_new = {
        .id = "conntrack-full-drops-new",
        .claim = "at nf_conntrack_max new connections are dropped, known ones go on",
        .source = "nf_conntrack-sysctl of the kernel's documentation; firewall guides",
        .experiment = "a namespace's table is filled to nf_conntrack_max with connections in use; "
                      "20 new ones are tried, and an old one carries bytes both ways",
        .confirms = "no new connection, as many drops, and every byte of the old one",
        .refutes = "a new connection gets through, or the old one stops",
        .seconds = 2,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES,
        .busy = true,
        .run = run,
        .turns = turns,
};
