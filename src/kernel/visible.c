/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the caller's rights let it see. */

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/scan.h"

bool lp_has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective >> (capability % 32) & 1;
}

static int see_mount(void *data, const struct lp_mount *mount)
{
	bool *hidden = data; /* the last one mounted covers those before */
	if (!strcmp(mount->point, "/proc"))
		*hidden = lp_mount_hides_processes(mount);
	return 0;
}

bool lp_processes_are_hidden(const struct lp_kernel *kernel)
{
	bool hidden = false;
	if (lp_has_capability(CAP_SYS_PTRACE))
		return false;
	_cleanup_(lp_close_fd) int self =
	        openat(kernel->proc, "thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)lp_mounts_each(self, see_mount, &hidden);
	return hidden;
}

bool lp_processes_are_initial(const struct lp_kernel *kernel)
{
	enum { PROC_PID_INIT_INO = 0xeffffffc }; /* include/linux/proc_ns.h */
	struct stat st;
	return fstatat(kernel->proc, "self/ns/pid", &st, 0) == 0 && st.st_ino == PROC_PID_INIT_INO;
}
