/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* mountinfo line by line, and the link of a namespace. */

#include "kernel/scan.h"
#include "text.h"

static void check_inside(const char *part, const char *line, size_t length)
{
	must_hold(part >= line && part + strlen(part) <= line + length);
}

static void check_line(char *line)
{
	struct lp_mount mount;
	size_t length = strlen(line);
	uint64_t inode = 77;
	if (lp_netns_link_parse(line, &inode) < 0)
		must_hold(inode == 77);
	if (lp_mount_parse(line, &mount) < 0)
		return;
	check_inside(mount.root, line, length);
	check_inside(mount.point, line, length);
	check_inside(mount.type, line, length);
	check_inside(mount.options, line, length);
	(void)lp_mount_hides_processes(&mount);
	(void)lp_netns_link_parse(mount.root, &inode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *end = (const char *)data + size;
	for (const char *at = (const char *)data; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *next = newline ? newline + 1 : end;
		/* a copy of its own, so that a step over its end is caught */
		char *line = fuzz_text((const uint8_t *)at, (size_t)(next - at));
		check_line(line);
		free(line);
		at = next;
	}
	return 0;
}
