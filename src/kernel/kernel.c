/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/scan.h"
#include "kernel/text.h"

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? lp_errno() : fd;
}

/* Without the file (before Linux 5.6, or CONFIG_TIME_NS) there are no such namespaces. */
static void read_timens(struct lp_kernel *kernel)
{
	char text[LP_TEXT_SMALL];
	if (lp_read_text(kernel->proc, "self/timens_offsets", text, sizeof(text)) >= 0)
		(void)lp_timens_parse(text, &kernel->timens);
}

int lp_kernel_open(struct lp_kernel *kernel, struct lp_error *err)
{
	*kernel = LP_KERNEL_NONE;
	int fd = open_dir("/proc");
	if (fd < 0)
		return lp_fail(err, EIO, "can't open /proc: %s", strerror(-fd));
	/* of another pid namespace's the link leads nowhere, and is there */
	if (faccessat(fd, "self", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)close(fd);
		return lp_fail(err, EIO,
		               "/proc is not mounted: 'mount -t proc proc /proc' does it");
	}
	kernel->proc = fd;
	/* what these add is left out where they are not there */
	fd = open_dir("/sys");
	kernel->sys = fd < 0 ? -1 : fd;
	fd = open_dir("/run/netns");
	kernel->run_netns = fd < 0 ? -1 : fd;
	fd = open_dir("/");
	kernel->root = fd < 0 ? -1 : fd;
	read_timens(kernel);
	return 0;
}

int64_t lp_kernel_ns(const struct lp_kernel *kernel)
{
	return lp_clock_ns() - kernel->timens.monotonic_ns;
}

static void close_one(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void lp_kernel_close(struct lp_kernel *kernel)
{
	close_one(kernel->proc);
	close_one(kernel->sys);
	close_one(kernel->run_netns);
	close_one(kernel->root);
	*kernel = LP_KERNEL_NONE;
}
