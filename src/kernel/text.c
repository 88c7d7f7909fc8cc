/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/kernel.h"

static int open_text(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? lp_errno() : fd;
}

/* From the start to the end, -EFBIG when buf gets full. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t length = 0;
	while (length < size) {
		ssize_t n = pread(fd, buf + length, size - length, (off_t)length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lp_errno();
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (length == size)
		return -EFBIG;
	buf[length] = '\0';
	return memchr(buf, '\0', length) ? -EINVAL : (ssize_t)length;
}

ssize_t lp_read_text(int dir, const char *path, char *buf, size_t size)
{
	_cleanup_(lp_close_fd) int fd = open_text(dir, path);
	return fd < 0 ? fd : read_all(fd, buf, size);
}

/* Whether what was read ends as the kernel ends it. */
static ssize_t check_line(const char *buf, ssize_t length)
{
	if (length < 0)
		return length;
	return length > 0 && buf[length - 1] == '\n' ? length : -EINVAL;
}

ssize_t lp_read_line(int dir, const char *path, char *buf, size_t size)
{
	return check_line(buf, lp_read_text(dir, path, buf, size));
}

ssize_t lp_read_long_line(int dir, const char *path, char **ret)
{
	_cleanup_(lp_close_fd) int fd = open_text(dir, path);
	if (fd < 0)
		return fd;
	for (size_t size = LP_TEXT_SMALL; size <= LP_TEXT_LARGEST; size *= 2) {
		_cleanup_(lp_free_ptr) char *buf = malloc(size);
		if (!buf)
			return -ENOMEM;
		/* a sysctl gives one read only: what did not fit is asked for again from the start
		 */
		ssize_t length = read_all(fd, buf, size);
		if (length == -EFBIG)
			continue;
		length = check_line(buf, length);
		if (length >= 0)
			*ret = lp_take_ptr(buf);
		return length;
	}
	return -EFBIG;
}

int lp_read_number(int dir, const char *path, uint64_t max, uint64_t *ret)
{
	char buf[64];
	ssize_t length = lp_read_line(dir, path, buf, sizeof(buf));
	return length < 0 ? (int)length : lp_number_whole(buf, max, ret);
}

static const char *why(int r)
{
	switch (r) {
	case -EINVAL:
	case -ERANGE:
		return "not understood";
	case -EFBIG:
		return "longer than it can be";
	default:
		return strerror(-r);
	}
}

int lp_text_gap(struct lp_snapshot *snapshot, const char *what, uint64_t netns, const char *path,
                int r)
{
	if (r >= 0 || r == -ENOENT)
		return 0;
	return lp_snapshot_gap(snapshot, what, netns, "/proc/%s: %s", path, why(r));
}

int lp_text_must(struct lp_snapshot *snapshot, const char *what, uint64_t netns, const char *path,
                 int r, const char *but)
{
	if (r != -ENOENT)
		return lp_text_gap(snapshot, what, netns, path, r);
	return lp_snapshot_gap(snapshot, what, netns, "/proc/%s is not there%s", path, but);
}
