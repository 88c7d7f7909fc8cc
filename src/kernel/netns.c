/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/utf8.h"
#include "kernel/kernel.h"
#include "kernel/scan.h"
#include "kernel/text.h"

static const char own_path[] = "thread-self/ns/net";

void lp_netns_place_done(struct lp_netns_place *place)
{
	free(place->name);
	free(place->path);
	free(place->last_path);
	*place = (struct lp_netns_place){0};
}

void lp_netns_list_done(struct lp_netns_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		lp_netns_place_done(&list->items[i]);
	free(list->items);
	if (list->scan) {
		lp_inode_map_done(&list->scan->namespaces);
		lp_inode_map_done(&list->scan->mounts);
		free(list->scan->holders);
		free(list->scan->unreached);
		free(list->scan);
	}
	*list = (struct lp_netns_list){0};
}

int lp_netns_list_place(struct lp_netns_list *list, uint64_t inode, uint64_t device,
                        struct lp_netns_place **ret)
{
	size_t number;
	if (!lp_array_grow(&list->items, &list->room, list->n, sizeof(*list->items)))
		return -ENOMEM;
	int r = lp_inode_map_add(&list->scan->namespaces, inode, device, &number);
	if (r < 0)
		return r;
	/* those that can't be entered are counted only, or asked for; the caller's own is the first
	 */
	bool listed = list->scan->enter || list->closed_too || number == 0;
	if (r > 0 && listed)
		list->items[list->n++] = (struct lp_netns_place){.inode = inode, .device = device};
	*ret = listed ? &list->items[number] : NULL;
	return r;
}

/* ---- opening ------------------------------------------------------------------------------ */

static bool is_place(int fd, const struct lp_netns_place *place)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_ino == place->inode && st.st_dev == place->device &&
	       ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

static int open_way(int dir, const char *path, const struct lp_netns_place *place)
{
	/* what stands there by now may be anything: not to be waited for */
	_cleanup_(lp_close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ESRCH || errno == ENXIO ? -ENOENT : lp_errno();
	return is_place(fd, place) ? lp_take_fd(fd) : -ENOENT;
}

static int open_process(const struct lp_kernel *kernel, pid_t pid,
                        const struct lp_netns_place *place)
{
	char path[32];
	if (!pid)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "%d/ns/net", pid);
	int fd = open_way(kernel->proc, path, place);
	if (fd != -EACCES)
		return fd;
	/* so does a process answer that is gone (fs/proc/namespaces.c) */
	(void)snprintf(path, sizeof(path), "%d/stat", pid);
	return faccessat(kernel->proc, path, F_OK, 0) == 0 ? fd : -ENOENT;
}

int lp_netns_place_open(const struct lp_kernel *kernel, const struct lp_netns_place *place)
{
	const pid_t pids[] = {place->pid, place->last_pid};
	const struct {
		int dir;
		const char *path;
	} ways[] = {{place->named ? kernel->run_netns : kernel->proc, place->path},
	            {kernel->proc, place->last_path}};
	int why = -ENOENT;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = ways[i].path ? open_way(ways[i].dir, ways[i].path, place) : -ENOENT;
		if (fd >= 0)
			return fd;
		why = fd != -ENOENT ? fd : why;
	}
	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		int fd = open_process(kernel, pids[i], place);
		if (fd >= 0)
			return fd;
		why = fd != -ENOENT ? fd : why;
	}
	return why;
}

/* ---- listing ------------------------------------------------------------------------------ */

static int set_name(struct lp_netns_place *place, const char *name)
{
	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	lp_utf8_clean(copy);
	free(place->name);
	place->name = copy;
	return 0;
}

static int add_own(const struct lp_kernel *kernel, struct lp_netns_list *list)
{
	struct lp_netns_place *place;
	struct stat st = {0};
	if (fstatat(kernel->proc, own_path, &st, 0) == 0)
		list->scan->device = st.st_dev;
	int r = lp_netns_list_place(list, st.st_ino, st.st_dev, &place);
	if (r < 0 || !place)
		return r;
	if (place) /* always: it is the first */
		place->own = true;
	return 0;
}

/* A file under /run/netns is a namespace if one is mounted on it; else it was left behind. */
static int add_named(const struct lp_kernel *kernel, struct lp_netns_list *list, const char *name)
{
	struct stat st;
	if (fstatat(kernel->run_netns, name, &st, 0) < 0 || st.st_dev != list->scan->device)
		return 0;
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel->run_netns, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const struct lp_netns_place seen = {.inode = st.st_ino, .device = st.st_dev};
	if (fd < 0 || !is_place(fd, &seen))
		return 0;
	struct lp_netns_place *place;
	int r = lp_netns_list_place(list, st.st_ino, st.st_dev, &place);
	if (r < 0)
		return r;
	if (!place || place->named)
		return 0; /* two names: the first one stays */
	free(place->path);
	place->path = strdup(name);
	if (!place->path)
		return -ENOMEM;
	place->named = true;
	return set_name(place, name);
}

static int skip_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In the order of their names, so that of two names for one namespace the choice is always same. */
static int add_all_named(const struct lp_kernel *kernel, struct lp_netns_list *list)
{
	struct dirent **entries;
	if (kernel->run_netns < 0)
		return 0;
	int n = scandirat(kernel->run_netns, ".", &entries, skip_hidden, alphasort);
	int r = n < 0 && errno == ENOMEM ? -ENOMEM : 0;
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = add_named(kernel, list, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return r;
}

/* Kernel threads are in the machine's first namespace, and so is the first process of a host. */
static bool is_kernel_thread(const struct lp_kernel *kernel, const char *path)
{
	char buf[LP_TEXT_SMALL];
	struct lp_stat stat;
	return lp_read_text(kernel->proc, path, buf, sizeof(buf)) >= 0 &&
	       lp_stat_parse(buf, &stat) == 0 && stat.kernel_thread;
}

/*
 * pid 1 may refuse to tell, to root too; its namespace is then told by others. Returns the way to
 * it below /proc, or NULL where nothing tells.
 */
static const char *find_host(const struct lp_kernel *kernel, const struct lp_netns_list *list,
                             struct stat *ret)
{
	static const char first[] = "1/ns/net", kthreadd[] = "2/ns/net";
	if (fstatat(kernel->proc, first, ret, 0) == 0)
		return first;
	if (is_kernel_thread(kernel, "2/stat") && fstatat(kernel->proc, kthreadd, ret, 0) == 0)
		return kthreadd;
	ret->st_ino = list->items[0].inode;
	ret->st_dev = list->items[0].device;
	return faccessat(kernel->proc, "sys/net/ipv4/tcp_mem", F_OK, 0) == 0 ? first : NULL;
}

static int add_host(const struct lp_kernel *kernel, struct lp_netns_list *list)
{
	struct lp_netns_place *place;
	struct stat st;
	const char *path = find_host(kernel, list, &st);
	if (!path)
		return 0;
	list->host_known = true;
	int r = lp_netns_list_place(list, st.st_ino, st.st_dev, &place);
	if (r < 0 || !place)
		return r < 0 ? r : 0;
	/* this way stays, while those of other processes may go before it is entered */
	if (!place->path) {
		place->path = strdup(path);
		if (!place->path)
			return -ENOMEM;
	}
	return place->name ? 0 : set_name(place, "host");
}

/* ---- what was not seen -------------------------------------------------------------------- */

static int report_others(const struct lp_netns_list *list, struct lp_snapshot *snapshot)
{
	size_t others = list->scan->namespaces.n - 1;
	if (others == 0)
		return lp_snapshot_gap(
		        snapshot, "namespaces", 0,
		        "only the own network namespace was read: seeing and entering "
		        "others needs root");
	return lp_snapshot_gap(snapshot, "namespaces", 0,
	                       "%zu other network namespace%s seen but not read: entering needs "
	                       "root",
	                       others, lp_text_plural(others));
}

static int report(const struct lp_kernel *kernel, struct lp_netns_list *list,
                  struct lp_snapshot *snapshot)
{
	struct lp_netns_scan *scan = list->scan;
	size_t unreached = 0;
	int r = 0;
	if (!scan->enter)
		return report_others(list, snapshot);
	r = lp_netns_scan_unreached(kernel, list, &unreached);
	if (r >= 0 && unreached)
		r = lp_snapshot_gap(snapshot, "namespaces", 0,
		                    "%zu mount%s of network namespaces not reachable: covered",
		                    unreached, lp_text_plural(unreached));
	if (r >= 0 && scan->unreadable)
		r = lp_snapshot_gap(snapshot, "namespaces", 0,
		                    "%zu process%s whose network namespace may not be asked for",
		                    scan->unreadable, scan->unreadable == 1 ? "" : "es");
	if (r >= 0 && scan->threads_left_out)
		r = lp_snapshot_gap(snapshot, "namespaces", 0,
		                    "%zu thread%s of root's processes not looked at",
		                    scan->threads_left_out, lp_text_plural(scan->threads_left_out));
	return r < 0 ? r : 0;
}

int lp_netns_list_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                       struct lp_netns_list *list)
{
	list->scan = calloc(1, sizeof(*list->scan));
	if (!list->scan)
		return -ENOMEM;
	snapshot->privileged = lp_has_capability(CAP_SYS_ADMIN);
	list->scan->enter = snapshot->privileged;
	int r = add_own(kernel, list);
	if (r == 0)
		r = add_all_named(kernel, list);
	if (r == 0)
		r = add_host(kernel, list);
	if (r == 0)
		r = lp_process_read(kernel, snapshot, list);
	if (r == 0 && list->scan->enter)
		r = lp_netns_scan_descriptors(kernel, snapshot, list);
	return r < 0 ? r : report(kernel, list, snapshot);
}

int lp_netns_place_search(const struct lp_kernel *kernel, const struct lp_netns_place *place)
{
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *scratch = lp_snapshot_new();
	_cleanup_(lp_netns_list_done) struct lp_netns_list list = {0};
	int r = scratch ? lp_netns_list_read(kernel, scratch, &list) : -ENOMEM;
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		const struct lp_netns_place *again = &list.items[i];
		if (again->inode != place->inode || again->device != place->device)
			continue;
		int fd = again->own ? open_way(kernel->proc, own_path, place)
		                    : lp_netns_place_open(kernel, again);
		return fd == -ENOENT ? -EAGAIN : fd;
	}
	return -ENOENT;
}

/* ---- one that was asked for --------------------------------------------------------------- */

/* Whether there is one of that name under /run/netns. */
static bool is_named(const struct lp_kernel *kernel, const char *name)
{
	struct stat own, named;
	return kernel->run_netns >= 0 && !strchr(name, '/') && *name != '.' &&
	       fstatat(kernel->proc, own_path, &own, 0) == 0 &&
	       fstatat(kernel->run_netns, name, &named, 0) == 0 && named.st_dev == own.st_dev;
}

int lp_netns_none(const struct lp_kernel *kernel, const char *wanted, const char *unseen,
                  struct lp_error *err)
{
	bool may = lp_has_capability(CAP_SYS_ADMIN);
	bool number = strspn(wanted, "0123456789") == strlen(wanted);
	if (!may && is_named(kernel, wanted))
		return lp_fail(err, EPERM, "network namespace '%s' may not be entered: needs root",
		               wanted);
	/* of an inode or a role this process may know nothing while it is there */
	return lp_fail(err, !may && (number || !strcmp(wanted, "host")) ? EPERM : ENOENT,
	               "no network namespace '%s': expected a name under /run/netns, an inode, "
	               "'host', 'self' or 'all'%s%s%s",
	               wanted, *unseen ? " (" : "", unseen, *unseen ? ")" : "");
}
