/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/scan.h"

static int64_t own_size(const struct lp_kernel *kernel)
{
	struct stat st;
	return fstatat(kernel->proc, "self/fd", &st, 0) < 0 ? -1 : (int64_t)st.st_size;
}

bool lp_fd_size_counts(const struct lp_kernel *kernel)
{
	/* other threads of this program may open and close as well: a few tries */
	for (int tries = 0; tries < 4; tries++) {
		int64_t before = own_size(kernel);
		int fd = fcntl(kernel->proc, F_DUPFD_CLOEXEC, 0);
		if (before <= 0 || fd < 0) {
			lp_close_fd(&fd);
			return false;
		}
		int64_t with = own_size(kernel);
		(void)close(fd);
		if (with == before + 1 && own_size(kernel) == before)
			return true;
	}
	return false;
}

static int visit_entries(const char *buf, size_t length, int dir,
                         int (*visit)(void *data, int dir, uint64_t number), void *data)
{
	for (size_t at = 0; at < length;) {
		const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buf + at);
		const char *name = entry->d_name;
		uint64_t number;
		at += entry->d_reclen;
		if (lp_number_whole(name, UINT32_MAX, &number) < 0)
			continue; /* "." and ".." */
		int r = visit(data, dir, number);
		if (r != 0)
			return r;
	}
	return 0;
}

int lp_fd_each(int dir, uint64_t from, int (*visit)(void *data, int dir, uint64_t number),
               void *data)
{
	enum { DOTS = 2 }; /* "." and ".." are the first two: number N is at N + 2 */
	_Alignas(struct dirent64) char buf[8192];
	if (from > INT_MAX - DOTS)
		return 0; /* no descriptor is numbered so high */
	_cleanup_(lp_close_fd) int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lp_errno();
	if (from > 0 && lseek(fd, (off_t)from + DOTS, SEEK_SET) < 0)
		return lp_errno();
	for (;;) {
		ssize_t n = getdents64(fd, buf, sizeof(buf));
		if (n <= 0)
			return n < 0 ? lp_errno() : 0;
		int r = visit_entries(buf, (size_t)n, fd, visit, data);
		if (r != 0)
			return r;
	}
}
