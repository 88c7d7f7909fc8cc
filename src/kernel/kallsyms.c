/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kallsyms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool lp_kallsyms_parse(const char *line, uint64_t *address, char name[LP_SYMBOL])
{
	enum { DIGITS = 16, BASE = 16 };
	size_t digits = strspn(line, "0123456789abcdef");
	if (!digits || digits > DIGITS || line[digits] != ' ')
		return false;
	const char *type = line + digits + 1;
	if (!*type || !strchr("tTwW", *type) || type[1] != ' ')
		return false;
	size_t length = strcspn(type + 2, "\t\n ");
	if (!length || length >= LP_SYMBOL)
		return false;
	*address = strtoull(line, NULL, BASE);
	memcpy(name, type + 2, length);
	name[length] = '\0';
	return true;
}

int lp_kallsyms_find(const struct lp_kernel *kernel, uint64_t address, char name[LP_SYMBOL])
{
	_cleanup_(lp_close_fd) int fd = openat(kernel->proc, "kallsyms", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lp_errno();
	_cleanup_(lp_close_file) FILE *file = fdopen(fd, "re");
	if (!file)
		return lp_errno();
	fd = -1;
	char line[512], here[LP_SYMBOL];
	uint64_t best = 0, at;
	while (fgets(line, sizeof(line), file)) {
		if (!lp_kallsyms_parse(line, &at, here) || at > address || at <= best)
			continue;
		best = at;
		memcpy(name, here, sizeof(here));
	}
	return best ? 0 : -ENOENT;
}
