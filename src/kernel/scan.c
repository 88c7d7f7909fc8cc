/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/sockfds.h"

/*
 * A namespace reached by `path` below /proc. The first way and the last one are kept: others that
 * look at namespaces are in each of them for a moment, and hold it open.
 */
static int add_path(struct lp_netns_list *list, uint64_t inode, uint64_t device, const char *path)
{
	struct lp_netns_place *place;
	int r = lp_netns_list_place(list, inode, device, &place);
	if (r < 0 || !place || place->own)
		return r < 0 ? r : 0;
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	if (!place->path) {
		place->path = copy;
		return 0;
	}
	free(place->last_path);
	place->last_path = copy;
	return 0;
}

/* ---- processes and threads ---------------------------------------------------------------- */

bool lp_task_is_there(const struct lp_task *task)
{
	return faccessat(task->dir, "stat", F_OK, 0) == 0;
}

static bool is_refused(const struct lp_netns_list *list, const struct lp_task *task, int error)
{
	if (error != EACCES && error != EPERM)
		return false;
	/* pid 1's is told in other ways */
	return !(task->pid == 1 && list->host_known) && lp_task_is_there(task);
}

static int scan_process(struct lp_netns_list *list, const struct lp_task *task)
{
	struct stat st;
	if (fstatat(task->dir, "ns/net", &st, 0) < 0) {
		list->scan->unreadable += is_refused(list, task, errno);
		return 0;
	}
	struct lp_netns_place *place;
	int r = lp_netns_list_place(list, st.st_ino, st.st_dev, &place);
	if (r < 0 || !place)
		return r < 0 ? r : 0;
	if (!place->pid)
		place->pid = task->pid;
	place->last_pid = task->pid;
	return 0;
}

static int scan_thread(struct lp_netns_list *list, const struct lp_task *task, int threads,
                       const char *tid)
{
	char path[sizeof(task->base) + 64];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%.20s/ns/net", tid);
	if (fstatat(threads, path, &st, 0) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/task/%.20s/ns/net", task->base, tid);
	return add_path(list, st.st_ino, st.st_dev, path);
}

static int scan_threads(struct lp_netns_list *list, const struct lp_task *task, size_t n)
{
	if (list->scan->threads + n > LP_SCAN_THREADS) {
		list->scan->threads_left_out += n;
		return 0;
	}
	list->scan->threads += n;
	_cleanup_(lp_close_fd) int fd =
	        openat(task->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(lp_close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return 0;
	lp_take_fd(fd);
	const struct dirent *entry;
	while ((entry = readdir(dir))) {
		uint64_t tid;
		if (lp_number_whole(entry->d_name, INT32_MAX, &tid) < 0 || (pid_t)tid == task->pid)
			continue;
		int r = scan_thread(list, task, dirfd(dir), entry->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- mounts ------------------------------------------------------------------------------- */

/* One pass over the mounts that a task sees. */
struct view {
	const struct lp_kernel *kernel;
	struct lp_netns_list *list;
	const struct lp_task *task;
};

static int add_unreached(struct view *view, uint64_t inode)
{
	struct lp_netns_scan *scan = view->list->scan;
	if (!lp_array_grow(&scan->unreached, &scan->room_unreached, scan->n_unreached,
	                   sizeof(*scan->unreached)))
		return -ENOMEM;
	struct lp_unreached *unreached = &scan->unreached[scan->n_unreached++];
	unreached->inode = inode;
	memcpy(unreached->base, view->task->base, sizeof(unreached->base));
	return 0;
}

/* Whether a mount of it adds nothing: each costs a stat, in each mount namespace. */
static bool is_settled(struct lp_netns_list *list, uint64_t inode)
{
	struct lp_netns_place *place;
	if (!lp_inode_map_has(&list->scan->namespaces, inode, list->scan->device) ||
	    lp_netns_list_place(list, inode, list->scan->device, &place) < 0)
		return false;
	return !place || place->own || place->named || place->last_path;
}

static int scan_mount(void *data, const struct lp_mount *mount)
{
	struct view *view = data;
	struct lp_netns_list *list = view->list;
	uint64_t inode;
	if (!lp_mount_is_netns(mount, &inode) || is_settled(list, inode))
		return 0;
	_cleanup_(lp_free_ptr) char *path = NULL;
	if (asprintf(&path, "%s/root/%s", view->task->base, mount->point) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	struct stat st;
	if (fstatat(view->kernel->proc, path, &st, AT_NO_AUTOMOUNT) < 0 || st.st_ino != inode ||
	    st.st_dev != list->scan->device)
		return add_unreached(view, inode);
	return add_path(list, st.st_ino, st.st_dev, path);
}

/* Once a mount namespace. */
static int scan_mounts(const struct lp_kernel *kernel, struct lp_netns_list *list,
                       const struct lp_task *task)
{
	struct view view = {kernel, list, task};
	struct stat st;
	size_t number;
	if (fstatat(task->dir, "ns/mnt", &st, 0) < 0)
		return 0;
	int r = lp_inode_map_add(&list->scan->mounts, st.st_ino, st.st_dev, &number);
	if (r <= 0)
		return r;
	r = lp_mounts_each(task->dir, scan_mount, &view);
	return r == -ENOMEM ? r : 0; /* else it is gone */
}

static int note_mount(void *data, const struct lp_mount *mount)
{
	uint64_t inode;
	size_t number;
	if (!lp_mount_is_netns(mount, &inode))
		return 0;
	return lp_inode_map_add(data, inode, 0, &number) < 0 ? -ENOMEM : 0;
}

/* What a task sees mounted by now. */
static int read_mounted(const struct lp_kernel *kernel, const char *base, struct lp_inode_map *map)
{
	lp_inode_map_done(map);
	_cleanup_(lp_close_fd) int dir =
	        openat(kernel->proc, base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? 0 : lp_mounts_each(dir, note_mount, map);
	return r == -ENOMEM ? r : 0;
}

int lp_netns_scan_unreached(const struct lp_kernel *kernel, const struct lp_netns_list *list,
                            size_t *ret)
{
	const struct lp_netns_scan *scan = list->scan;
	_cleanup_(lp_inode_map_done) struct lp_inode_map mounted = {0};
	const char *base = "";
	size_t n = 0;
	for (size_t i = 0; i < scan->n_unreached; i++) {
		const struct lp_unreached *unreached = &scan->unreached[i];
		if (lp_inode_map_has(&scan->namespaces, unreached->inode, scan->device))
			continue;
		/* those of one task come one after the other */
		int r = strcmp(base, unreached->base) != 0
		                ? read_mounted(kernel, unreached->base, &mounted)
		                : 0;
		if (r < 0)
			return r;
		base = unreached->base;
		n += lp_inode_map_has(&mounted, unreached->inode, 0);
	}
	*ret = n;
	return 0;
}

static struct lp_holder holder_of(const struct lp_task *task)
{
	struct lp_holder holder = {.pid = task->pid, .open = task->open};
	memcpy(holder.base, task->base, sizeof(holder.base));
	return holder;
}

static int add_holder(struct lp_netns_scan *scan, const struct lp_task *task)
{
	if (!lp_array_grow(&scan->holders, &scan->room_holders, scan->n_holders,
	                   sizeof(*scan->holders)))
		return -ENOMEM;
	scan->holders[scan->n_holders++] = holder_of(task);
	return 0;
}

int lp_netns_scan_task(const struct lp_kernel *kernel, struct lp_netns_list *list,
                       const struct lp_task *task)
{
	enum { DOTS = 2 };
	struct stat st;
	int r = scan_process(list, task);
	if (r < 0)
		return r;
	if (!list->scan->enter) {
		const struct lp_holder holder = holder_of(task);
		return list->sockets && task->open ? lp_sockfds_unsearched(list->sockets, &holder)
		                                   : 0;
	}
	/* a thread needs root's power to go elsewhere alone; links of "task" count its threads */
	if (task->uid == 0 && fstatat(task->dir, "task", &st, 0) == 0 && st.st_nlink > DOTS + 1)
		r = scan_threads(list, task, (size_t)st.st_nlink - DOTS - 1);
	if (r == 0)
		r = scan_mounts(kernel, list, task);
	if (r == 0 && task->open > 0 && !task->searched)
		r = add_holder(list->scan, task);
	return r;
}

/* ---- descriptors -------------------------------------------------------------------------- */

int lp_netns_scan_descriptor(struct lp_netns_list *list, pid_t pid, const char *base, int dir,
                             uint64_t number)
{
	char name[24], link[64], path[sizeof(list->scan->holders->base) + 32];
	uint64_t inode;
	(void)snprintf(name, sizeof(name), "%ju", (uintmax_t)number);
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	if (lp_netns_link_parse(link, &inode) < 0)
		return list->sockets ? lp_sockfds_link(list->sockets, pid, link) : 0;
	(void)snprintf(path, sizeof(path), "%s/fd/%ju", base, (uintmax_t)number);
	return add_path(list, inode, list->scan->device, path);
}

struct search {
	struct lp_netns_list *list;
	const struct lp_holder *holder;
};

static int scan_next(void *data, int dir, uint64_t number)
{
	struct search *search = data;
	if (search->list->scan->descriptors++ >= LP_SCAN_DESCRIPTORS)
		return 1;
	return lp_netns_scan_descriptor(search->list, search->holder->pid, search->holder->base,
	                                dir, number);
}

static int compare_holders(const void *a, const void *b)
{
	const struct lp_holder *x = a, *y = b;
	if (x->open != y->open)
		return x->open < y->open ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int scan_holder(const struct lp_kernel *kernel, struct search *search)
{
	_cleanup_(lp_close_fd) int dir =
	        openat(kernel->proc, search->holder->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? 0 : lp_fd_each(dir, 0, scan_next, search);
	if (search->list->sockets && (r == -EACCES || r == -EPERM))
		search->list->sockets->hidden = true;
	return r == -ENOMEM ? r : 0; /* gone, or refused as its namespace was before */
}

int lp_netns_scan_descriptors(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                              struct lp_netns_list *list)
{
	struct lp_netns_scan *scan = list->scan;
	struct search search = {.list = list};
	uint64_t left_out = 0;
	size_t processes = 0;
	/* those that keep namespaces open are small; those with many have sockets */
	if (scan->n_holders)
		qsort(scan->holders, scan->n_holders, sizeof(*scan->holders), compare_holders);
	for (size_t i = 0; i < scan->n_holders; i++) {
		search.holder = &scan->holders[i];
		if (scan->descriptors + search.holder->open > LP_SCAN_DESCRIPTORS) {
			left_out += search.holder->open;
			processes++;
			if (list->sockets &&
			    lp_sockfds_unsearched(list->sockets, search.holder) < 0)
				return -ENOMEM;
			continue;
		}
		int r = scan_holder(kernel, &search);
		if (r < 0)
			return r;
	}
	if (!processes)
		return 0;
	return lp_snapshot_gap(snapshot, "namespaces", 0,
	                       "%ju descriptors of %zu process%s not looked at",
	                       (uintmax_t)left_out, processes, processes == 1 ? "" : "es");
}
