/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/link.h"

static const char self_path[] = "/proc/thread-self/ns/net";

int lab_ns_self(struct lab_ns *ret, struct lp_error *err)
{
	_cleanup_(lp_close_fd) int fd = open(self_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lp_fail(err, errno, "%s: %s", self_path, strerror(errno));
	struct stat st;
	if (fstat(fd, &st) < 0)
		return lp_fail(err, errno, "%s: %s", self_path, strerror(errno));
	*ret = (struct lab_ns){.fd = lp_take_fd(fd), .inode = st.st_ino};
	return 0;
}

int lab_ns_make(struct lab_ns *ret, struct lp_error *err)
{
	_cleanup_(lab_ns_done) struct lab_ns here = LAB_NS_NONE;
	int r = lab_ns_self(&here, err);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return lp_fail(err, errno, "a new network namespace: %s", strerror(errno));
	_cleanup_(lab_leave) int home = lp_take_fd(here.fd);
	(void)home;
	_cleanup_(lab_ns_done) struct lab_ns made = LAB_NS_NONE;
	r = lab_ns_self(&made, err);
	if (r < 0)
		return r;
	r = lab_link_up(NULL, "lo", err);
	if (r < 0)
		return r;
	*ret = (struct lab_ns){.fd = lp_take_fd(made.fd), .inode = made.inode};
	return 0;
}

void lab_ns_done(struct lab_ns *ns)
{
	lp_close_fd(&ns->fd);
	ns->fd = -1;
}

int lab_enter(const struct lab_ns *ns)
{
	if (!ns)
		return LAB_STAYED;
	_cleanup_(lp_close_fd) int home = open(self_path, O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return lp_errno();
	if (setns(ns->fd, CLONE_NEWNET) < 0)
		return lp_errno();
	return lp_take_fd(home);
}

void lab_leave(const int *home)
{
	if (*home < 0 || *home == LAB_STAYED)
		return;
	if (setns(*home, CLONE_NEWNET) < 0)
		abort();
	(void)close(*home);
}

static int open_sysctl(const char *path, int flags, struct lp_error *err)
{
	char full[256];
	(void)snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	int fd = open(full, flags | O_CLOEXEC);
	if (fd < 0)
		return lp_fail(err, errno, "%s: %s", full, strerror(errno));
	return fd;
}

int lab_sysctl(const struct lab_ns *ns, struct lp_error *err, const char *path, const char *value,
               ...)
{
	char text[1024];
	va_list args;
	va_start(args, value);
	int length = vsnprintf(text, sizeof(text) - 1, value, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(text) - 1)
		return lp_fail(err, E2BIG, "net/%s: the value is too long", path);
	/* ip_local_reserved_ports ignores an empty write: the newline is what clears it. */
	text[length] = '\n';

	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	_cleanup_(lp_close_fd) int fd = open_sysctl(path, O_WRONLY, err);
	if (fd < 0)
		return fd;
	if (write(fd, text, (size_t)length + 1) < 0)
		return lp_fail(err, errno, "net/%s = %.*s: %s", path, length, text,
		               strerror(errno));
	return 0;
}

int lab_sysctl_get(const struct lab_ns *ns, struct lp_error *err, const char *path, char *buf,
                   size_t size)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	_cleanup_(lp_close_fd) int fd = open_sysctl(path, O_RDONLY, err);
	if (fd < 0)
		return fd;
	ssize_t n = read(fd, buf, size - 1);
	if (n < 0)
		return lp_fail(err, errno, "net/%s: %s", path, strerror(errno));
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}
