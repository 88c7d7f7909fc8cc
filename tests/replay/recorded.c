/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recorded.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit/unit.h"

const char *recorded_path(const char *base, const char *name)
{
	static char path[256];
	(void)snprintf(path, sizeof(path), "proc/%s/%s", base, name);
	return path;
}

static void write_stat(const struct folder *folder, const char *base, char state, unsigned flags,
                       unsigned threads, unsigned start)
{
	char text[256];
	(void)snprintf(text, sizeof(text),
	               "%s (x) %c 1 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 %u 0 %u 0 0\n", base, state,
	               flags, threads, start);
	folder_text(folder, recorded_path(base, "stat"), text);
}

void recorded_stat(const struct folder *folder, const char *base, char state, unsigned flags,
                   unsigned threads)
{
	write_stat(folder, base, state, flags, threads, 1);
}

void recorded_begun(const struct folder *folder, const char *base, unsigned start)
{
	write_stat(folder, base, 'S', USER_FLAGS, 1, start);
}

void recorded_limit(const struct folder *folder, const char *base, unsigned limit)
{
	char text[256];
	(void)snprintf(text, sizeof(text),
	               "Limit                     Soft Limit           Hard Limit           Units\n"
	               "Max open files            %-20u %-20u files     \n",
	               limit, limit);
	folder_text(folder, recorded_path(base, "limits"), text);
}

void recorded_fd(const struct folder *folder, const char *base, unsigned number, const char *target)
{
	char name[32];
	(void)snprintf(name, sizeof(name), "fd/%u", number);
	folder_link(folder, recorded_path(base, name), target);
}

/* A process with descriptors 0 to n - 1, in a namespace of its own. */
void recorded_process(const struct folder *folder, const char *base, const char *command,
                      unsigned n, unsigned limit)
{
	folder_text(folder, recorded_path(base, "comm"), command);
	recorded_stat(folder, base, 'S', USER_FLAGS, 1);
	recorded_limit(folder, base, limit);
	folder_dir(folder, recorded_path(base, "fd"));
	for (unsigned i = 0; i < n; i++)
		recorded_fd(folder, base, i, "/dev/null");
	folder_text(folder, recorded_path(base, "ns/net"), "");
	folder_text(folder, recorded_path(base, "ns/mnt"), "");
}

/* All processes are in one namespace when all files under ns/ are the same one. */
void recorded_share(const struct folder *folder, const char *base, const char *with,
                    const char *kind)
{
	char from[256], name[32];
	(void)snprintf(name, sizeof(name), "ns/%s", kind);
	(void)snprintf(from, sizeof(from), "proc/%s/%s", with, name);
	const char *to = recorded_path(base, name);
	(void)unlinkat(folder->fd, to, 0);
	assert_int_equal(linkat(folder->fd, from, folder->fd, to, 0), 0);
}

uint64_t recorded_inode(const struct folder *folder, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(folder->fd, path, &st, 0), 0);
	return st.st_ino;
}

void set_rights(const struct rights *rights)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	assert_int_equal(syscall(SYS_capset, &header, rights->data), 0);
}

/* Returns what they were. */
struct rights drop_rights(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct rights before, less;
	assert_int_equal(syscall(SYS_capget, &header, before.data), 0);
	less = before;
	less.data[0].effective &= (uint32_t)~capabilities;
	less.data[1].effective &= (uint32_t)(~capabilities >> 32);
	set_rights(&less);
	return before;
}
