/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lab/link.h"
#include "lab/ns.h"

static int mounts_self(uint64_t *ret, struct lp_error *err)
{
	struct stat st;
	if (stat("/proc/thread-self/ns/mnt", &st) < 0)
		return lp_fail(err, errno, "/proc/thread-self/ns/mnt: %s", strerror(errno));
	*ret = st.st_ino;
	return 0;
}

/* Whether a mount made now could spread to other mount namespaces. */
static bool any_shared(void)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/thread-self/mountinfo", "re");
	if (!file)
		return true;
	_cleanup_(lp_free_ptr) char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, file) > 0)
		if (strstr(line, " shared:"))
			return true;
	return false;
}

static int make_private(struct lp_error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return 0;
	/* In a chroot, / need not be a mount point. That is fine where nothing is shared. */
	if (errno == EINVAL && !any_shared())
		return 0;
	return lp_fail(err, errno, "private mounts: %s", strerror(errno));
}

int lab_private_mounts(struct lab_mounts *ret, struct lp_error *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return lp_fail(err, errno, "a new mount namespace: %s", strerror(errno));
	int r = make_private(err);
	if (r < 0)
		return r;
	struct stat st;
	bool there = stat("/run/netns", &st) == 0;
	const char *where = there ? "/run/netns" : "/run";
	if (mount("lab", where, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return lp_fail(err, errno, "tmpfs on %s: %s", where, strerror(errno));
	if (!there && mkdir("/run/netns", 0755) < 0)
		return lp_fail(err, errno, "/run/netns: %s", strerror(errno));
	return mounts_self(&ret->inode, err);
}

int lab_ns_bind(const struct lab_mounts *mounts, const struct lab_ns *ns, const char *path,
                struct lp_error *err)
{
	uint64_t inode = 0;
	int r = mounts_self(&inode, err);
	if (r < 0)
		return r;
	if (inode != mounts->inode)
		return lp_fail(err, EPERM, "%s: not in the private mount namespace", path);
	_cleanup_(lp_close_fd) int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return lp_fail(err, errno, "%s: %s", path, strerror(errno));
	char from[64];
	(void)snprintf(from, sizeof(from), "/proc/thread-self/fd/%d", ns->fd);
	if (mount(from, path, NULL, MS_BIND, NULL) < 0)
		return lp_fail(err, errno, "mount on %s: %s", path, strerror(errno));
	return 0;
}

int lab_ns_name(const struct lab_mounts *mounts, const struct lab_ns *ns, const char *name,
                struct lp_error *err)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "/run/netns/%s", name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return lp_fail(err, ENAMETOOLONG, "the name of a namespace is too long");
	return lab_ns_bind(mounts, ns, path, err);
}

static int write_file(const char *path, const char *text, struct lp_error *err)
{
	_cleanup_(lp_close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return lp_fail(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int lab_user_namespaces(struct lp_error *err)
{
	char uids[64], gids[64];
	(void)snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
	(void)snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return lp_fail(err, errno, "a new user namespace: %s", strerror(errno));
	int r = write_file("/proc/self/setgroups", "deny", err);
	if (r < 0)
		return r;
	r = write_file("/proc/self/uid_map", uids, err);
	if (r < 0)
		return r;
	r = write_file("/proc/self/gid_map", gids, err);
	if (r < 0)
		return r;
	return lab_link_up(NULL, "lo", err);
}

int lab_become_able(struct lp_error *err)
{
	struct lab_ns probe = LAB_NS_NONE;
	if (lab_ns_make(&probe, NULL) == 0) {
		lab_ns_done(&probe);
		return 0;
	}
	return lab_user_namespaces(err);
}
