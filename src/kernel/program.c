/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/program.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "kernel/cgroup.h"
#include "kernel/elf.h"

/* Interpreters run what others wrote: their own name tells enough. */
static enum lp_runtime runtime_by_name(const char *executable)
{
	static const struct {
		const char *pattern;
		enum lp_runtime runtime;
	} names[] = {
	        {"java", LP_RUNTIME_JAVA},     {"python[0-9]*", LP_RUNTIME_PYTHON},
	        {"python", LP_RUNTIME_PYTHON}, {"pypy*", LP_RUNTIME_PYTHON},
	        {"node", LP_RUNTIME_NODE},     {"nodejs", LP_RUNTIME_NODE},
	        {"php-fpm*", LP_RUNTIME_PHP},  {"php[0-9]*", LP_RUNTIME_PHP},
	        {"php", LP_RUNTIME_PHP},       {"php-cgi*", LP_RUNTIME_PHP},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fnmatch(names[i].pattern, executable, 0) == 0)
			return names[i].runtime;
	return LP_RUNTIME_UNTOLD;
}

static ssize_t read_file(void *context, void *buf, size_t size, uint64_t offset)
{
	ssize_t n = pread(*(const int *)context, buf, size, (off_t)offset);
	return n < 0 ? lp_errno() : n;
}

static enum lp_runtime runtime_by_bytes(const struct lp_kernel *kernel, const char *path)
{
	struct stat st;
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel->proc, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return LP_RUNTIME_UNTOLD;
	const struct lp_elf_source source = {.read = read_file, .context = &fd};
	return lp_elf_is_go(&source) == 1 ? LP_RUNTIME_GO : LP_RUNTIME_NATIVE;
}

/* The last part of where the link leads, without what the kernel says of one that was replaced. */
static void name_of(char *target, char name[static sizeof(((struct lp_program *)0)->executable)])
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(target);
	if (length > strlen(deleted) && !strcmp(target + length - strlen(deleted), deleted))
		target[length - strlen(deleted)] = '\0';
	const char *slash = strrchr(target, '/');
	(void)snprintf(name, sizeof(((struct lp_program *)0)->executable), "%s",
	               slash ? slash + 1 : target);
	lp_utf8_clean(name);
}

static void read_unit(const struct lp_kernel *kernel, struct lp_program *program)
{
	char path[LP_CGROUP_PATH];
	struct lp_cgroup_names names;
	if (lp_cgroup_of(kernel, program->pid, path, sizeof(path)) < 0)
		return;
	lp_cgroup_names(path, &names);
	(void)snprintf(program->unit, sizeof(program->unit), "%s", names.unit);
	lp_utf8_clean(program->unit);
}

static void read_one(const struct lp_kernel *kernel, struct lp_program *program)
{
	char path[32], target[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%d/exe", program->pid);
	read_unit(kernel, program);
	ssize_t n = readlinkat(kernel->proc, path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	name_of(target, program->executable);
	program->runtime = runtime_by_name(program->executable);
	if (program->runtime == LP_RUNTIME_UNTOLD)
		program->runtime = runtime_by_bytes(kernel, path);
}

int lp_programs_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                     const pid_t *pids, size_t n)
{
	snapshot->programs = calloc(LP_PROGRAMS, sizeof(*snapshot->programs));
	if (!snapshot->programs)
		return -ENOMEM;
	for (size_t i = 0; i < n && snapshot->n_programs < LP_PROGRAMS; i++) {
		if (pids[i] <= 0 || lp_snapshot_program(snapshot, pids[i]))
			continue;
		struct lp_program *program = &snapshot->programs[snapshot->n_programs++];
		program->pid = pids[i];
		read_one(kernel, program);
	}
	return 0;
}
