/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "base/utf8.h"
#include "kernel/kernel.h"
#include "kernel/scan.h"
#include "kernel/sockfds.h"
#include "kernel/text.h"

struct pass {
	const struct lp_kernel *kernel;
	struct lp_snapshot *snapshot;
	struct lp_netns_list *namespaces;
	bool size_counts; /* st_size of PID/fd is the number of descriptors */
	bool own_pids;    /* these are the processes that system calls mean by their number */
	size_t hidden;
};

/* What a process that ends meanwhile answers. */
static bool is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

static bool is_hidden(int r)
{
	return r == -EACCES || r == -EPERM;
}

/*
 * Whether /proc shows the processes of this pid namespace: not if it is a folder of recorded texts
 * or the /proc of a host mounted in a container.
 */
static bool shows_own_pids(const struct lp_kernel *kernel)
{
	struct statfs fs;
	char link[32];
	uint64_t pid;
	ssize_t n = readlinkat(kernel->proc, "self", link, sizeof(link) - 1);
	if (n < 0 || fstatfs(kernel->proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	link[n] = '\0';
	return lp_number_whole(link, INT32_MAX, &pid) == 0 && (pid_t)pid == getpid();
}

static int read_limit(const struct pass *pass, const struct lp_task *task,
                      struct lp_process *process)
{
	struct rlimit limit;
	if (pass->own_pids && prlimit(task->pid, RLIMIT_NOFILE, NULL, &limit) == 0) {
		process->limit = limit.rlim_cur;
		process->hard_limit = limit.rlim_max;
		return 0;
	}
	/* others' are refused without CAP_SYS_RESOURCE, while the text is for everybody */
	char buf[LP_TEXT_SMALL];
	ssize_t n = lp_read_text(task->dir, "limits", buf, sizeof(buf));
	return n < 0 ? (int)n : lp_limits_parse(buf, &process->limit, &process->hard_limit);
}

/* Whether all descriptors are numbered below the limit, as told by a text for everybody. */
static bool table_is_below(int dir, uint64_t limit)
{
	char buf[LP_TEXT_SMALL];
	uint64_t size;
	return lp_read_text(dir, "status", buf, sizeof(buf)) >= 0 &&
	       lp_fd_size_parse(buf, &size) == 0 && size <= limit;
}

struct descriptors {
	uint64_t limit, below, above;
	struct lp_netns_list *search; /* for namespaces and sockets, or NULL */
	const struct lp_task *task;
};

static int see_descriptor(void *data, int dir, uint64_t number)
{
	struct descriptors *seen = data;
	if (number < seen->limit)
		seen->below++;
	else
		seen->above++;
	return seen->search ? lp_netns_scan_descriptor(seen->search, seen->task->pid,
	                                               seen->task->base, dir, number)
	                    : 0;
}

/* Few descriptors are searched for namespaces while they are counted. */
static bool take_few(const struct pass *pass, struct lp_task *task)
{
	struct lp_netns_scan *scan = pass->namespaces ? pass->namespaces->scan : NULL;
	if (!scan || !scan->enter || !pass->size_counts || task->open > LP_SCAN_FEW ||
	    scan->descriptors + task->open > LP_SCAN_DESCRIPTORS)
		return false;
	scan->descriptors += task->open;
	task->searched = true;
	return true;
}

/*
 * RLIMIT_NOFILE bounds the number, not the count: what is numbered above takes nothing of it. It
 * is enough to list from there on where the count is known.
 */
static int count_descriptors(const struct pass *pass, struct lp_task *task, uint64_t limit,
                             uint64_t *ret)
{
	struct descriptors seen = {.limit = limit, .task = task};
	if (take_few(pass, task))
		seen.search = pass->namespaces;
	bool all = seen.search || !pass->size_counts;
	int r = lp_fd_each(task->dir, all ? 0 : limit, see_descriptor, &seen);
	if (r == 0 && all) {
		task->open = seen.below + seen.above;
		*ret = seen.below;
		return 0;
	}
	if (is_hidden(r) && seen.search && seen.search->sockets)
		seen.search->sockets->hidden = true;
	if (is_hidden(r) && pass->size_counts && table_is_below(task->dir, limit))
		r = 0;
	if (r < 0)
		return r;
	*ret = seen.above < task->open ? task->open - seen.above : 0;
	return 0;
}

static int read_command(const struct lp_task *task, char *command, size_t size)
{
	char buf[64];
	ssize_t n = lp_read_text(task->dir, "comm", buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	if (n > 0 && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	size_t length = strnlen(buf, size - 1);
	buf[length] = '\0';
	lp_utf8_clean(buf);
	memcpy(command, buf, length + 1);
	return 0;
}

static int add_process(const struct pass *pass, struct lp_task *task)
{
	struct lp_process seen = {.pid = task->pid};
	int r = read_limit(pass, task, &seen);
	if (r == 0)
		r = count_descriptors(pass, task, seen.limit, &seen.descriptors);
	if (r == 0)
		r = read_command(task, seen.command, sizeof(seen.command));
	if (r < 0)
		return r;
	struct lp_process *process = lp_snapshot_add_process(pass->snapshot);
	if (!process)
		return -ENOMEM;
	*process = seen;
	return 0;
}

static int open_task(const struct pass *pass, const char *base, pid_t pid, struct lp_task *ret)
{
	struct lp_task task = {.pid = pid};
	struct stat st;
	(void)snprintf(task.base, sizeof(task.base), "%s", base);
	task.dir = openat(pass->kernel->proc, base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (task.dir < 0)
		return lp_errno();
	if (fstatat(task.dir, "fd", &st, 0) < 0) {
		int r = lp_errno();
		(void)close(task.dir);
		return r;
	}
	task.uid = st.st_uid;
	task.open = pass->size_counts && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	*ret = task;
	return 0;
}

static void close_task(struct lp_task *task)
{
	lp_close_fd(&task->dir);
}

/* NULL with errno set. */
static DIR *open_dir(int at, const char *path)
{
	_cleanup_(lp_close_fd) int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir)
		lp_take_fd(fd);
	return dir;
}

/* Where the first thread ended before the others, all that /proc/PID tells of is gone with it. */
static int open_living_thread(const struct pass *pass, pid_t pid, struct lp_task *ret)
{
	char base[sizeof(ret->base)];
	(void)snprintf(base, sizeof(base), "%d/task", pid);
	_cleanup_(lp_close_dir) DIR *dir = open_dir(pass->kernel->proc, base);
	if (!dir)
		return lp_errno();
	const struct dirent *entry;
	while ((entry = readdir(dir))) {
		uint64_t tid;
		if (lp_number_whole(entry->d_name, INT32_MAX, &tid) < 0 || (pid_t)tid == pid)
			continue;
		(void)snprintf(base, sizeof(base), "%d/task/%d", pid, (pid_t)tid);
		if (open_task(pass, base, pid, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

/* A task without descriptors: 1 it counts (maybe through another thread), 0 leave it out. */
static int look_closer(const struct pass *pass, struct lp_task *task)
{
	char buf[LP_TEXT_SMALL];
	struct lp_stat stat;
	ssize_t n = lp_read_text(task->dir, "stat", buf, sizeof(buf));
	int r = n < 0 ? (int)n : lp_stat_parse(buf, &stat);
	if (r < 0)
		return r;
	if (stat.kernel_thread)
		return 0;
	if (stat.state != 'Z' && stat.state != 'X')
		return 1;
	struct lp_task thread;
	if (stat.threads < 2 || open_living_thread(pass, task->pid, &thread) < 0)
		return 0;
	close_task(task);
	*task = thread;
	return 1;
}

/* Whether /proc/PID/fd has anything, where its size does not tell. Fails as opening it does. */
static int stop_at_first(void *data, int dir, uint64_t number)
{
	(void)data;
	(void)dir;
	(void)number;
	return 1;
}

static int read_task(const struct pass *pass, const char *name, pid_t pid)
{
	_cleanup_(close_task) struct lp_task task = {.dir = -1};
	int r = open_task(pass, name, pid, &task);
	if (r < 0)
		return r;
	bool any = task.open > 0;
	if (!pass->size_counts) {
		r = lp_fd_each(task.dir, 0, stop_at_first, NULL);
		any = r != 0; /* a refusal too: kernel threads' are refused like any others' */
	}
	if (!any || r < 0) {
		r = look_closer(pass, &task);
		if (r <= 0)
			return r;
	}
	int seen = add_process(pass, &task);
	if (seen == -ENOMEM || is_gone(seen))
		return seen;
	if (is_hidden(seen) && !lp_task_is_there(&task))
		return -ESRCH;
	if (pass->namespaces) {
		r = lp_netns_scan_task(pass->kernel, pass->namespaces, &task);
		if (r < 0)
			return r;
	}
	return seen;
}

/* A process that can't be read is one less; nothing but our own lack of something ends the pass. */
static int tolerate(struct pass *pass, const char *name, int r)
{
	if (r >= 0 || is_gone(r))
		return 0;
	if (is_hidden(r)) {
		pass->hidden++;
		return 0;
	}
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	return lp_text_gap(pass->snapshot, "processes", 0, name, r);
}

static int report(const struct pass *pass)
{
	struct lp_sockfds *sockets = pass->namespaces ? pass->namespaces->sockets : NULL;
	bool all_hidden = lp_processes_are_hidden(pass->kernel);
	int r = 0;
	if (sockets)
		sockets->hidden |= pass->hidden || all_hidden;
	if (pass->hidden)
		r = lp_snapshot_gap(pass->snapshot, "processes", 0,
		                    "%zu process%s of others not visible: their descriptors need "
		                    "root",
		                    pass->hidden, pass->hidden == 1 ? "" : "es");
	if (r >= 0 && all_hidden)
		r = lp_snapshot_gap(pass->snapshot, "processes", 0,
		                    "/proc is mounted with hidepid: others' processes need root");
	return r;
}

int lp_process_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                    struct lp_netns_list *namespaces)
{
	struct pass pass = {
	        .kernel = kernel,
	        .snapshot = snapshot,
	        .namespaces = namespaces,
	        .size_counts = lp_fd_size_counts(kernel),
	        .own_pids = shows_own_pids(kernel),
	};
	_cleanup_(lp_close_dir) DIR *dir = open_dir(kernel->proc, ".");
	if (!dir)
		return lp_errno();
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry)
			break;
		uint64_t pid;
		if (lp_number_whole(entry->d_name, INT32_MAX, &pid) < 0)
			continue;
		int r = tolerate(&pass, entry->d_name, read_task(&pass, entry->d_name, (pid_t)pid));
		if (r < 0)
			return r;
	}
	return errno ? lp_errno() : report(&pass);
}
