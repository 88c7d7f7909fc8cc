/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the caller's rights let it see. */

#include <fcntl.h>
#include <linux/capability.h>
#include <mntent.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/scan.h"

bool lp_has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective >> (capability % 32) & 1;
}

/* What follows "name=" among the options of a mount; NULL where it is not there. */
static const char *option(const struct lp_mount *mount, const char *name)
{
	const struct mntent entry = {.mnt_opts = mount->options};
	const char *found = hasmntopt(&entry, name);
	found = found ? found + strlen(name) : NULL;
	return found && *found == '=' ? found + 1 : NULL;
}

bool lp_mount_hides_processes(const struct lp_mount *mount)
{
	const char *hidepid = option(mount, "hidepid");
	const char *gid = option(mount, "gid");
	uint64_t group;
	if (strcmp(mount->type, "proc") != 0 || strcmp(mount->point, "/proc") != 0 || !hidepid)
		return false;
	/* "hidepid=0" before Linux 5.8, "hidepid=off" since */
	if (*hidepid == '0' || !strncmp(hidepid, "off", 3))
		return false;
	return !gid || lp_number_parse(&gid, UINT32_MAX, &group) < 0 ||
	       ((gid_t)group != getegid() && !group_member((gid_t)group));
}

bool lp_processes_are_hidden(const struct lp_kernel *kernel)
{
	if (lp_has_capability(CAP_SYS_PTRACE))
		return false;
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_(lp_close_file) FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		return false;
	lp_take_fd(fd);
	_cleanup_(lp_free_ptr) char *line = NULL;
	size_t room = 0;
	bool hidden = false; /* the last one mounted covers those before */
	while (getline(&line, &room, file) > 0) {
		struct lp_mount mount;
		if (lp_mount_parse(line, &mount) == 0 && !strcmp(mount.point, "/proc"))
			hidden = lp_mount_hides_processes(&mount);
	}
	return hidden;
}
