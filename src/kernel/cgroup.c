/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/scan.h"
#include "snapshot/cgroup.h"

/* ---- of a process -------------------------------------------------------------------------- */

/* A line of /proc/PID/cgroup: "0::/path", "1:name=systemd:/path". Cut apart in place. */
struct line {
	const char *controllers; /* empty: cgroup2 */
	char *path;
};

static int cut_line(char *text, struct line *ret)
{
	static const char deleted[] = " (deleted)";
	char *first = strchr(text, ':');
	char *second = first ? strchr(first + 1, ':') : NULL;
	if (!second || second[1] != '/')
		return -EINVAL;
	*second = '\0';
	*ret = (struct line){first + 1, second + 1};
	size_t length = strlen(ret->path), tail = sizeof(deleted) - 1;
	if (length > tail && !strcmp(ret->path + length - tail, deleted))
		ret->path[length - tail] = '\0';
	return 0;
}

/* How much a line tells: a name that people know, then a path at all, then the newer hierarchy. */
static int worth(const struct line *line)
{
	struct lp_cgroup_names names;
	lp_cgroup_names(line->path, &names);
	int score = *names.unit || *names.container || *names.pod ? 8 : 0;
	score += strcmp(line->path, "/") != 0 ? 4 : 0;
	if (!*line->controllers)
		return score + 2;
	return score + !strcmp(line->controllers, "name=systemd");
}

int lp_cgroup_parse(const char *text, char *path, size_t size)
{
	_cleanup_(lp_free_ptr) char *copy = strdup(text);
	char *rest = copy, *next;
	struct line best = {0};
	int most = -1;
	if (!copy)
		return -ENOMEM;
	while ((next = strsep(&rest, "\n"))) {
		struct line line;
		if (cut_line(next, &line) < 0)
			continue;
		int score = worth(&line);
		if (score > most) {
			most = score;
			best = line;
		}
	}
	if (!best.path)
		return -EINVAL;
	size_t length = strlen(best.path);
	if (length >= size)
		return -ENAMETOOLONG;
	memcpy(path, best.path, length + 1);
	return 0;
}

int lp_cgroup_of(const struct lp_kernel *kernel, pid_t pid, char *path, size_t size)
{
	char name[32], text[2 * LP_CGROUP_PATH];
	(void)snprintf(name, sizeof(name), "%d/cgroup", pid);
	ssize_t n = lp_read_text(kernel->proc, name, text, sizeof(text));
	return n < 0 ? (int)n : lp_cgroup_parse(text, path, size);
}

/* ---- by number ----------------------------------------------------------------------------- */

static bool is_whole(const char *root)
{
	return !strcmp(root, "/");
}

/* The mount that shows most: all cgroups, else the first. */
static int take_mount(void *data, const struct lp_mount *mount)
{
	struct lp_cgroups *found = data;
	if (strcmp(mount->type, "cgroup2") != 0 || (found->point && !is_whole(mount->root)))
		return 0;
	_cleanup_(lp_free_ptr) char *point = strdup(mount->point);
	_cleanup_(lp_free_ptr) char *root = strdup(mount->root);
	if (!point || !root)
		return -ENOMEM;
	free(found->point);
	free(found->root);
	found->point = lp_take_ptr(point);
	found->root = lp_take_ptr(root);
	return is_whole(mount->root);
}

void lp_cgroups_close(struct lp_cgroups *cgroups)
{
	lp_close_fd(&cgroups->mount);
	free(cgroups->point);
	free(cgroups->root);
	*cgroups = LP_CGROUPS_NONE;
}

static int find_mount(const struct lp_kernel *kernel, struct lp_cgroups *found)
{
	_cleanup_(lp_close_fd) int self =
	        openat(kernel->proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self < 0)
		return lp_errno();
	int r = lp_mounts_each(self, take_mount, found);
	return r < 0 ? r : 0;
}

int lp_cgroups_open(const struct lp_kernel *kernel, struct lp_cgroups *ret)
{
	_cleanup_(lp_cgroups_close) struct lp_cgroups found = LP_CGROUPS_NONE;
	struct statfs fs;
	int r = find_mount(kernel, &found);
	if (r < 0)
		return r;
	if (!found.point)
		return -ENOENT;
	found.mount = open(found.point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (found.mount < 0)
		return lp_errno();
	/* something else may be mounted over it */
	if (fstatfs(found.mount, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -ENOENT;
	*ret = found;
	found = LP_CGROUPS_NONE;
	return 0;
}

/* A file handle of kernfs is the number itself (kernfs_encode_fh(), 33c5ac9175195c36, 5.5). */
static int open_by_number(const struct lp_cgroups *cgroups, uint64_t id)
{
	enum { FILEID_KERNFS = 0xfe };
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} by = {.handle = {.handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS}};
	memcpy(by.handle.f_handle, &id, sizeof(id));
	int fd = open_by_handle_at(cgroups->mount, &by.handle, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == ESTALE ? -ENOENT : lp_errno();
}

/* What follows the mount point, as seen from the root of all cgroups. */
static int write_path(const struct lp_cgroups *cgroups, const char *found, char *path, size_t size)
{
	size_t length = strlen(cgroups->point);
	const char *root = is_whole(cgroups->root) ? "" : cgroups->root;
	if (strncmp(found, cgroups->point, length) != 0 || (found[length] && found[length] != '/'))
		return -ENOENT;
	const char *rest = found + length;
	int n = snprintf(path, size, "%s%s", root, *rest || *root ? rest : "/");
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int lp_cgroups_path(const struct lp_cgroups *cgroups, uint64_t id, char *path, size_t size)
{
	char link[32], found[LP_CGROUP_PATH];
	_cleanup_(lp_close_fd) int fd = open_by_number(cgroups, id);
	if (fd < 0)
		return fd;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, found, sizeof(found) - 1);
	if (n < 0)
		return lp_errno();
	found[n] = '\0';
	return write_path(cgroups, found, path, size);
}
