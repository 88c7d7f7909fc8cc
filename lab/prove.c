/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/prove.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "lab/lab.h"
#include "lab/trial.h"

enum {
	AT_ONCE = 32,    /* claims side by side: most of them wait */
	PATIENCE_S = 45, /* beyond three times what a claim says it takes */
	LOOK_EVERY_MS = 250,
};

/* One claim on its way. */
struct run {
	const struct lab_claim *claim;
	const struct lab_turn *turn;
	pid_t pid; /* 0: not started; -1: over */
	int fd;    /* what the child tells */
	char *text;
	size_t length, room;
	int64_t started_ns;
	json_t *result;
};

struct proving {
	const struct lab_prove_options *options;
	struct run *runs;
	size_t n, going, busy;
	int64_t started_ns;
};

/* ---- in the child -----------------------------------------------------------------------------
 */

static int missing_need(struct lab_trial *trial)
{
	unsigned needs = trial->claim->needs;
	if ((needs & LAB_NEEDS_KMSG) && access("/dev/kmsg", R_OK) < 0)
		return lab_not_run(trial, "the kernel log is not readable: /dev/kmsg: %s",
		                   strerror(errno)),
		       1;
	if ((needs & (LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES)) &&
	    access("/proc/sys/net/netfilter/nf_conntrack_max", R_OK) < 0)
		return lab_not_run(trial, "connection tracking is not there: no "
		                          "/proc/sys/net/netfilter/nf_conntrack_max"),
		       1;
	return 0;
}

static void run_trial(struct lab_trial *trial)
{
	int r = lab_become_able(&trial->err);
	if (r == 0 && missing_need(trial))
		return;
	(void)lab_raise_descriptors();
	if (r == 0)
		r = trial->claim->run(trial);
	if (r < 0)
		(void)lab_not_run(trial, "%s", *trial->err.text ? trial->err.text : strerror(-r));
}

/* Only what it needs: a trial may count descriptors, or allow itself few. */
static int keep_only(int fd)
{
	enum { KEPT = STDERR_FILENO + 1 };
	if (fd != KEPT && dup3(fd, KEPT, O_CLOEXEC) < 0)
		_exit(1);
	(void)close_range(KEPT + 1, ~0U, 0);
	return KEPT;
}

_Noreturn static void child(const struct lab_claim *claim, const struct lab_turn *turn, int fd,
                            pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (getppid() != parent)
		_exit(1);
	fd = keep_only(fd);
	struct lab_trial trial;
	if (lab_trial_begin(&trial, claim, turn) < 0)
		_exit(1);
	run_trial(&trial);
	json_t *result = lab_trial_json(&trial);
	int r = result ? json_dumpfd(result, fd, JSON_COMPACT) : -1;
	_exit(r == 0 ? 0 : 1);
}

/* ---- in the parent ----------------------------------------------------------------------------
 */

static json_t *failed(const struct lab_claim *claim, const char *why)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:{}}", "id", claim->id, "claim", claim->claim,
	                 "verdict", lab_verdict_name(LAB_NOT_RUN), "why", why, "measured");
}

static void tell(const struct proving *p, const struct run *run, const char *verdict)
{
	if (p->options->progress)
		p->options->progress(run->claim, verdict,
		                     (double)(lp_clock_ns() - p->started_ns) / 1e9,
		                     p->options->context);
}

static int start(struct proving *p, struct run *run)
{
	int ends[2];
	pid_t self = getpid();
	if (pipe2(ends, O_CLOEXEC) < 0)
		return lp_errno();
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		child(run->claim, run->turn, ends[1], self);
	}
	int error = errno;
	(void)close(ends[1]);
	if (pid < 0) {
		(void)close(ends[0]);
		return -error;
	}
	run->pid = pid;
	run->fd = ends[0];
	run->started_ns = lp_clock_ns();
	p->going++;
	p->busy += run->claim->busy;
	tell(p, run, NULL);
	return 0;
}

static bool may_start(const struct proving *p, const struct run *run)
{
	return run->pid == 0 && p->going < AT_ONCE && !(run->claim->busy && p->busy);
}

/* The long ones first: the whole takes as long as the longest. */
static struct run *next_to_start(struct proving *p)
{
	struct run *best = NULL;
	for (size_t i = 0; i < p->n; i++)
		if (may_start(p, &p->runs[i]) &&
		    (!best || p->runs[i].claim->seconds > best->claim->seconds))
			best = &p->runs[i];
	return best;
}

static void end(struct proving *p, struct run *run, const char *why_not)
{
	int status = 0;
	(void)waitpid(run->pid, &status, 0);
	run->pid = -1;
	(void)close(run->fd);
	p->going--;
	p->busy -= run->claim->busy;
	if (!why_not && run->length)
		run->result = json_loadb(run->text, run->length, 0, NULL);
	if (!run->result)
		run->result = failed(run->claim, why_not ? why_not : "its process died");
	tell(p, run, json_string_value(json_object_get(run->result, "verdict")));
}

/* Reads what a child tells. False at its end. */
static bool listen_to(struct run *run)
{
	char part[4096];
	ssize_t n = read(run->fd, part, sizeof(part));
	if (n < 0)
		return errno == EINTR;
	for (ssize_t i = 0; i < n; i++) {
		if (!lp_array_grow(&run->text, &run->room, run->length, 1))
			return false;
		run->text[run->length++] = part[i];
	}
	return n > 0;
}

static bool took_too_long(const struct run *run)
{
	int64_t most_s = 3 * (int64_t)run->claim->seconds + PATIENCE_S;
	return lp_clock_ns() - run->started_ns > most_s * 1000000000;
}

static void look_after(struct proving *p, struct run *run, const struct pollfd *event)
{
	if (event->revents && !listen_to(run)) {
		end(p, run, NULL);
	} else if (took_too_long(run)) {
		(void)kill(run->pid, SIGKILL);
		end(p, run, "it took far longer than it should");
	}
}

static int wait_for_some(struct proving *p)
{
	struct pollfd events[AT_ONCE];
	struct run *of[AT_ONCE];
	nfds_t n = 0;
	for (size_t i = 0; i < p->n; i++)
		if (p->runs[i].pid > 0) {
			of[n] = &p->runs[i];
			events[n++] = (struct pollfd){.fd = p->runs[i].fd, .events = POLLIN};
		}
	if (poll(events, n, LOOK_EVERY_MS) < 0 && errno != EINTR)
		return lp_errno();
	for (nfds_t i = 0; i < n; i++)
		look_after(p, of[i], &events[i]);
	return 0;
}

static int run_all(struct proving *p)
{
	for (;;) {
		struct run *run;
		while ((run = next_to_start(p))) {
			int r = start(p, run);
			if (r < 0)
				return r;
		}
		if (!p->going)
			return 0;
		int r = wait_for_some(p);
		if (r < 0)
			return r;
	}
}

static void stop_all(struct proving *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct run *run = &p->runs[i];
		if (run->pid > 0) {
			(void)kill(run->pid, SIGKILL);
			end(p, run, "the run was given up");
		}
		free(run->text);
		json_decref(run->result);
	}
	free(p->runs);
}

int lab_prove_plans(const struct lab_plan plans[], size_t n,
                    const struct lab_prove_options *options, json_t **ret)
{
	struct proving p = {.options = options, .n = n, .started_ns = lp_clock_ns()};
	p.runs = calloc(n ? n : 1, sizeof(*p.runs));
	json_t *results = json_array();
	int r = p.runs && results ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		p.runs[i] = (struct run){.claim = plans[i].claim, .turn = plans[i].turn};
	if (r == 0)
		r = run_all(&p);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (json_array_append(results, p.runs[i].result) < 0)
			r = -ENOMEM;
	if (p.runs)
		stop_all(&p);
	if (r < 0) {
		json_decref(results);
		return r;
	}
	*ret = results;
	return 0;
}

int lab_prove(const struct lab_claim *const claims[], size_t n,
              const struct lab_prove_options *options, json_t **ret)
{
	struct lab_plan *plans = calloc(n ? n : 1, sizeof(*plans));
	if (!plans)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		plans[i] = (struct lab_plan){.claim = claims[i], .turn = options->turn};
	int r = lab_prove_plans(plans, n, options, ret);
	free(plans);
	return r;
}

size_t lab_prove_not_run(const json_t *results)
{
	size_t i, n = 0;
	json_t *result;
	json_array_foreach(results, i, result) n +=
	        !strcmp(json_string_value(json_object_get(result, "verdict")),
	                lab_verdict_name(LAB_NOT_RUN));
	return n;
}

json_t *lab_prove_document(const json_t *results)
{
	struct utsname name = {0};
	(void)uname(&name);
	return json_pack("{s:i, s:s, s:O}", "schema", 1, "kernel", name.release, "claims", results);
}
