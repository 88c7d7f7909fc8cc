/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "lab/lab.h"
#include "lab/tracked.h"

enum {
	TRY_EVERY_MS = 250,
	/* All warnings of the network share a budget of ten in 5 s (net.core.message_burst, cost):
	 * what others used up is back by then. */
	PATIENCE_S = 7,
};

/* What the log said since it was opened. */
struct seen {
	unsigned ours;       /* lines of a full table, ours by the namespace or by none named */
	bool names;          /* they named the namespace */
	unsigned suppressed; /* lines that say that others were suppressed */
};

static int open_log(struct lab_trial *trial)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return lp_fail(lab_error(trial), errno,
		               "the kernel log is not readable: /dev/kmsg: %s", strerror(errno));
	(void)lseek(fd, 0, SEEK_END);
	return fd;
}

static void judge(const char *line, uint64_t inode, struct seen *seen)
{
	seen->suppressed += strstr(line, "net_ratelimit:") != NULL;
	if (!strstr(line, "nf_conntrack: table full"))
		return;
	uint64_t named = 0;
	const char *netns = strstr(line, "in netns ");
	if (netns && sscanf(netns, "in netns %" SCNu64, &named) != 1)
		named = 0;
	if (named == inode || !netns)
		seen->ours++;
	seen->names |= named == inode;
}

/* Reads what is there. A line that was overwritten before it was read (EPIPE) is no end. */
static void read_log(int log, uint64_t inode, struct seen *seen)
{
	char line[8192];
	for (;;) {
		ssize_t n = read(log, line, sizeof(line) - 1);
		if (n < 0 && errno != EPIPE && errno != EINTR)
			return;
		if (n <= 0)
			continue;
		line[n] = '\0';
		judge(line, inode, seen);
	}
}

/* Where connections are lost: at a full table, or by a rule that the log knows nothing of. */
static int make_lossy(struct lab_trial *trial, const struct lab_tracked *tracked)
{
	if (lab_turned(trial, "dropped-by-rule"))
		return lab_nft_drop(&tracked->ns, lab_addr_port(&tracked->to), lab_error(trial));
	return lab_tracked_fill(trial, tracked, 0, false);
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_tracked_done) struct lab_tracked tracked = LAB_TRACKED_NONE;
	_cleanup_(lp_close_fd) int log = open_log(trial);
	if (log < 0)
		return log;
	int r = lab_tracked_make(trial, &tracked);
	if (r == 0)
		r = make_lossy(trial, &tracked);
	if (r < 0)
		return r;

	struct seen seen = {0};
	unsigned tried = 0, opened = 0;
	int64_t start = lp_clock_ns();
	double seconds = 0;
	for (; !seen.ours && seconds < PATIENCE_S; seconds = lab_seconds_since(trial, start)) {
		opened += lab_tracked_connect(&tracked, 1, TRY_EVERY_MS);
		tried++;
		read_log(log, tracked.ns.inode, &seen);
	}
	struct lab_conntrack_stats stats;
	r = lab_conntrack_stats(&tracked.ns, &stats, lab_error(trial));
	if (r < 0)
		return r;

	lab_counted(trial, "tried", tried);
	lab_counted(trial, "opened", opened);
	lab_counted(trial, "packets_dropped_by_conntrack", (int64_t)stats.drop);
	lab_counted(trial, "lines", seen.ours);
	lab_saw(trial, "names_the_namespace", seen.names);
	lab_measured(trial, "waited_s", seconds);
	if (!seen.ours && seen.suppressed && stats.drop)
		return lab_not_run(trial, "other warnings of the network used up what the kernel "
		                          "lets through to its log");
	return lab_verdict_if(trial, seen.ours > 0,
	                      "%u of %u new connections were lost; the log had %u %s of a full "
	                      "table%s",
	                      tried - opened, tried, seen.ours, seen.ours == 1 ? "line" : "lines",
	                      seen.names ? ", with the inode of the namespace" : "");
}

static const struct lab_turn turns[] = {
        {.what = "a rule drops the connections, not a full table",
         .expect = LAB_REFUTED,
         .flag = "dropped-by-rule"},
        {0},
};

const struct lab_claim lab_claim_conntrack_full_is_logged = {
        .id = "conntrack-full-is-logged",
        .claim = "the kernel logs \"nf_conntrack: table full, dropping packet\"",
        .source = "the message itself, in a thousand forum threads",
        .experiment = "connections are tried against a full table of a namespace's own, and the "
                      "kernel log is read meanwhile; it lets ten warnings through in 5 s",
        .confirms = "a line that says so, of this namespace where it names one",
        .refutes = "connections are lost and the log has no such line in 7 s",
        .seconds = 6,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES | LAB_NEEDS_KMSG,
        .busy = true,
        .run = run,
        .turns = turns,
};
