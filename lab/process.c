/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Until a child says that it is ready: a bound for what hangs. */
enum { START_MS = 60000 };

static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child: the parent may have died before prctl() asked to be told. */
static void die_with(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
}

int lab_child_start(struct lab_child *child, int (*work)(void *data, int say), void *data)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return lp_errno();
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		die_with(parent);
		(void)close(ends[0]);
		_exit(work(data, ends[1]));
	}
	int failed = errno;
	(void)close(ends[1]);
	if (pid < 0) {
		(void)close(ends[0]);
		return -failed;
	}
	*child = (struct lab_child){.pid = pid, .said = ends[0]};
	struct pollfd wait = {.fd = ends[0], .events = POLLIN};
	if (poll(&wait, 1, START_MS) > 0)
		return 0;
	lab_child_stop(child);
	return -ETIMEDOUT;
}

_Noreturn void lab_child_ready(int say)
{
	if (write(say, "r", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
}

int lab_child_wait(struct lab_child *child)
{
	int status = 0;
	if (child->pid <= 0)
		return -ECHILD;
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return lp_errno();
	child->pid = -1;
	lp_close_fd(&child->said);
	child->said = -1;
	return status_of(status);
}

void lab_child_stop(struct lab_child *child)
{
	if (child->pid <= 0)
		return;
	(void)kill(child->pid, SIGKILL);
	(void)lab_child_wait(child);
}

int lab_spawn(struct lab_child *child, const char *const argv[])
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return lp_errno();
	if (pid == 0) {
		die_with(parent);
		int null = open("/dev/null", O_RDWR);
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	*child = (struct lab_child){.pid = pid, .said = -1};
	return 0;
}

void lab_output_done(struct lab_output *out)
{
	free(out->text);
	*out = (struct lab_output){0};
}

/* Appends what can be read; false at the end of the stream. */
static bool gather(int fd, struct lab_output *out)
{
	char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));
	if (n < 0)
		return errno == EINTR;
	char *text = n == 0 ? NULL : realloc(out->text, out->length + (size_t)n + 1);
	if (!text)
		return false;
	memcpy(text + out->length, buf, (size_t)n);
	out->text = text;
	out->length += (size_t)n;
	out->text[out->length] = '\0';
	return true;
}

/* 0 when both streams ended, -ETIMEDOUT. */
static int gather_both(const int fds[2], struct lab_output *const outs[2], int timeout_ms)
{
	struct pollfd wait[2] = {{.fd = fds[0], .events = POLLIN},
	                         {.fd = fds[1], .events = POLLIN}};
	int64_t deadline = lp_clock_ns() + timeout_ms * INT64_C(1000000);
	while (wait[0].fd >= 0 || wait[1].fd >= 0) {
		int64_t left = (deadline - lp_clock_ns()) / 1000000;
		if (left <= 0 || poll(wait, 2, (int)left) == 0)
			return -ETIMEDOUT;
		for (int i = 0; i < 2; i++)
			if (wait[i].fd >= 0 && wait[i].revents && !gather(wait[i].fd, outs[i]))
				wait[i].fd = -1;
	}
	return 0;
}

static _Noreturn void exec_with(const char *const argv[], int out, int errors, pid_t parent)
{
	die_with(parent);
	(void)dup2(out, STDOUT_FILENO);
	if (errors >= 0)
		(void)dup2(errors, STDERR_FILENO);
	(void)execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int lab_run(const char *const argv[], int timeout_ms, struct lab_output *out,
            struct lab_output *errors)
{
	int to_out[2] = {-1, -1}, to_errors[2] = {-1, -1};
	*out = (struct lab_output){.text = calloc(1, 1)};
	if (errors)
		*errors = (struct lab_output){.text = calloc(1, 1)};
	if (!out->text || (errors && !errors->text))
		return -ENOMEM;
	if (pipe2(to_out, O_CLOEXEC) < 0)
		return lp_errno();
	_cleanup_(lp_close_fd) int from_out = to_out[0];
	if (errors && pipe2(to_errors, O_CLOEXEC) < 0) {
		(void)close(to_out[1]);
		return lp_errno();
	}
	_cleanup_(lp_close_fd) int from_errors = to_errors[0];
	pid_t parent = getpid();
	struct lab_child child = {.pid = fork(), .said = -1};
	if (child.pid == 0)
		exec_with(argv, to_out[1], to_errors[1], parent);
	int failed = errno;
	(void)close(to_out[1]);
	if (errors)
		(void)close(to_errors[1]);
	if (child.pid < 0)
		return -failed;
	struct lab_output *outs[2] = {out, errors};
	int r = gather_both((int[2]){from_out, from_errors}, outs, timeout_ms);
	if (r < 0) {
		lab_child_stop(&child);
		return r;
	}
	return lab_child_wait(&child);
}

int lab_become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return lp_errno();
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return lp_errno();
	return 0;
}
