/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(bool done, const char *what, const char *path)
{
	if (done)
		return;
	(void)fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	abort();
}

void folder_dir(const struct folder *folder, const char *path)
{
	char part[256];
	for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		const char *end = strchr(slash + 1, '/');
		size_t length = end ? (size_t)(end - path) : strlen(path);
		must(length < sizeof(part), "too long", path);
		memcpy(part, path, length);
		part[length] = '\0';
		must(mkdirat(folder->fd, part, 0755) == 0 || errno == EEXIST, "mkdir", part);
	}
}

static void make_parent(const struct folder *folder, const char *path)
{
	char parent[256];
	const char *end = strrchr(path, '/');
	must(end && (size_t)(end - path) < sizeof(parent), "no parent", path);
	memcpy(parent, path, (size_t)(end - path));
	parent[end - path] = '\0';
	folder_dir(folder, parent);
}

static int open_below(const struct folder *folder, const char *path)
{
	folder_dir(folder, path);
	int fd = openat(folder->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0, "open", path);
	return fd;
}

void folder_make(struct folder *folder)
{
	/* thousands of folders: in memory where there is one, not on a disk */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(folder->path, sizeof(folder->path), "%s/lastport-XXXXXX", base);
	must(mkdtemp(folder->path), "mkdtemp", folder->path);
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(folder->fd >= 0, "open", folder->path);
	folder->kernel = LP_KERNEL_NONE;
	folder->kernel.proc = open_below(folder, "proc");
	folder->kernel.sys = open_below(folder, "sys");
	folder->kernel.run_netns = open_below(folder, "run");
	folder->kernel.root = open_below(folder, "root");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void folder_done(struct folder *folder)
{
	lp_kernel_close(&folder->kernel);
	(void)close(folder->fd);
	must(nftw(folder->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "remove", folder->path);
}

void folder_write(const struct folder *folder, const char *path, const void *bytes, size_t size)
{
	make_parent(folder, path);
	int fd = openat(folder->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0, "create", path);
	must(write(fd, bytes, size) == (ssize_t)size, "write", path);
	(void)close(fd);
}

void folder_text(const struct folder *folder, const char *path, const char *text)
{
	folder_write(folder, path, text, strlen(text));
}

void folder_link(const struct folder *folder, const char *path, const char *target)
{
	make_parent(folder, path);
	must(symlinkat(target, folder->fd, path) == 0, "link", path);
}

void folder_remove(const struct folder *folder, const char *path)
{
	char whole[512];
	(void)snprintf(whole, sizeof(whole), "%s/%s", folder->path, path);
	must(nftw(whole, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "remove", whole);
}
