/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/provoke.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "lab/lab.h"
#include "lab/provokers.h"

enum { PATIENCE_MS = 120000 };

/* What the process tells when it has brought the limit about, or failed. */
struct report {
	int status;
	uint64_t netns;
	struct lp_error err;
};

/* ---- in the process of its own ------------------------------------------------------------- */

/* Moves this process for good into a new namespace, in which it may do anything. */
static int move_out(struct lab_provoking *provoking, struct lp_error *err)
{
	int r = lab_become_able(err);
	if (r == 0)
		r = lab_ns_make(&provoking->ns, err);
	if (r < 0)
		return r;
	int home = lab_enter(&provoking->ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	return close(home) < 0 ? -errno : 0;
}

static int work(void *data, int say)
{
	struct lab_provoking provoking = {.provoker = data, .ns = LAB_NS_NONE};
	struct report report = {0};
	/* the first byte says that it lives; the report may take a while */
	if (write(say, "r", 1) != 1)
		return 1;
	(void)lab_raise_descriptors();
	report.status = move_out(&provoking, &report.err);
	if (report.status == 0)
		report.status = provoking.provoker->bring(&provoking, &report.err);
	report.netns = provoking.ns.inode;
	if (write(say, &report, sizeof(report)) != (ssize_t)sizeof(report) || report.status < 0)
		return 1;
	for (;;) {
		(void)poll(NULL, 0, LAB_PROVOKE_EVERY_MS);
		if (provoking.provoker->keep)
			provoking.provoker->keep(&provoking);
	}
}

/* ---- in the caller's ----------------------------------------------------------------------- */

const struct lab_provoker *lab_provoker_find(const char *kind)
{
	for (size_t i = 0; lab_provokers[i].kind; i++)
		if (!strcmp(lab_provokers[i].kind, kind))
			return &lab_provokers[i];
	return NULL;
}

const char *lab_provoke_left_out(const char *kind)
{
	static const struct {
		const char *kind, *why;
	} left_out[] = {
	        {"tcp-memory", "tcp_mem is one figure of the whole machine: using it up would slow "
	                       "and reset the connections of everybody"},
	        {"orphans", "tcp_max_orphans is one figure of the whole machine: using it up would "
	                    "reset the connections of everybody"},
	};
	for (size_t i = 0; i < sizeof(left_out) / sizeof(*left_out); i++)
		if (!strcmp(left_out[i].kind, kind))
			return left_out[i].why;
	return NULL;
}

static const struct lab_provoker *find(const char *kind, struct lp_error *err)
{
	const struct lab_provoker *provoker = lab_provoker_find(kind);
	const char *why = lab_provoke_left_out(kind);
	if (provoker)
		return provoker;
	if (why) {
		(void)lp_fail(err, ENOTSUP, "%s is not provoked: %s", kind, why);
		return NULL;
	}
	char known[256] = "";
	for (size_t i = 0, n = 0; lab_provokers[i].kind && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
		                      lab_provokers[i].kind);
	(void)lp_fail(err, ENOTSUP, "no limit '%s' to provoke: expected one of %s", kind, known);
	return NULL;
}

static int take_report(int fd, struct report *ret)
{
	char byte;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	if (read(fd, &byte, 1) != 1)
		return -EIO;
	if (poll(&wait, 1, PATIENCE_MS) <= 0)
		return -ETIMEDOUT;
	/* less than PIPE_BUF: all or nothing */
	return read(fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret) ? 0 : -EIO;
}

int lab_provoke_start(const char *kind, struct lab_provoked *ret, struct lp_error *err)
{
	struct lab_provoked provoked = {.provoker = find(kind, err), .child = LAB_CHILD_NONE};
	struct report report = {0};
	if (!provoked.provoker)
		return -ENOTSUP;
	int r = lab_child_start(&provoked.child, work, (void *)provoked.provoker);
	if (r < 0) {
		(void)lp_fail(err, -r, "%s: %s", kind, strerror(-r));
		return r;
	}
	r = take_report(provoked.child.said, &report);
	if (r < 0)
		(void)lp_fail(err, -r, "%s: the process that should hold it: %s", kind,
		              r == -EIO ? "died" : strerror(-r));
	else if ((r = report.status) < 0)
		(void)lp_fail(err, -r, "%s: %s", kind,
		              *report.err.text ? report.err.text : strerror(-r));
	if (r < 0) {
		lab_provoke_stop(&provoked);
		return r;
	}
	provoked.netns = report.netns;
	*ret = provoked;
	return 0;
}

void lab_provoke_stop(struct lab_provoked *provoked)
{
	if (provoked->child.pid > 0)
		lab_child_stop(&provoked->child);
	*provoked = (struct lab_provoked){.child = LAB_CHILD_NONE};
}

static int tell(const struct lab_provoked *provoked, double seconds, FILE *say)
{
	const char *kind = provoked->provoker->kind;
	errno = 0;
	int n = fprintf(say,
	                "%s: %s\n"
	                "  namespace %" PRIu64 ", process %d\n"
	                "  to see it: lastport --netns %" PRIu64 " --kind %s\n"
	                "  ends in %.0f s, or with Ctrl-C\n",
	                kind, provoked->provoker->description, provoked->netns, provoked->child.pid,
	                provoked->netns, kind, seconds);
	return n < 0 || fflush(say) == EOF ? lp_errno() : 0;
}

/* 0 after that time or a signal; -EIO when the process ended before. */
static int stay(const struct lab_provoked *provoked, int signals, double seconds)
{
	struct pollfd wait[] = {{.fd = signals, .events = POLLIN},
	                        {.fd = provoked->child.said, .events = POLLIN}};
	int64_t deadline = lp_clock_ns() + (int64_t)(seconds * 1e9);
	for (;;) {
		int64_t left = (deadline - lp_clock_ns()) / 1000000;
		if (left <= 0)
			return 0;
		int n = poll(wait, 2, left < 60000 ? (int)left + 1 : 60000);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && wait[0].revents)
			return 0;
		if (n > 0 && wait[1].revents)
			return -EIO;
	}
}

static int provoke_until(const char *kind, double seconds, int signals, FILE *say,
                         struct lp_error *err)
{
	_cleanup_(lab_provoke_stop) struct lab_provoked provoked = {.child = LAB_CHILD_NONE};
	int r = lab_provoke_start(kind, &provoked, err);
	if (r < 0)
		return r;
	r = tell(&provoked, seconds, say);
	if (r < 0)
		return lp_fail(err, -r, "where to look can't be said: %s", strerror(-r));
	r = stay(&provoked, signals, seconds);
	return r < 0 ? lp_fail(err, -r, "%s: the process that held it ended", kind) : 0;
}

int lab_provoke(const char *kind, double seconds, FILE *say, struct lp_error *err)
{
	sigset_t ours, before;
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGTERM);
	/* Blocked in the child too: a Ctrl-C reaches both, and it is this process that ends it. */
	if (sigprocmask(SIG_BLOCK, &ours, &before) < 0)
		return lp_fail(err, errno, "sigprocmask: %s", strerror(errno));
	_cleanup_(lp_close_fd) int signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	int r = signals < 0 ? lp_fail(err, errno, "signalfd: %s", strerror(errno))
	                    : provoke_until(kind, seconds, signals, say, err);
	/* what ended it is not to end the caller */
	struct signalfd_siginfo info;
	while (signals >= 0 && read(signals, &info, sizeof(info)) > 0)
		;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
