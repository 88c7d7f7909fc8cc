/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/scan.h"

/* Takes "\040" and the like back, in place (fs/proc_namespace.c, mangle()). */
static void unescape(char *text)
{
	char *to = text;
	for (const char *at = text; *at; to++) {
		bool octal = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' &&
		             at[2] <= '7' && at[3] >= '0' && at[3] <= '7';
		int byte = octal ? (at[1] - '0') * 64 + (at[2] - '0') * 8 + at[3] - '0' : *at;
		*to = (char)byte;
		at += octal ? 4 : 1;
	}
	*to = '\0';
}

/* Cuts the next blank-separated word off; NULL at the end. */
static char *next_word(char **at)
{
	char *word = strsep(at, " ");
	return word && *word ? word : NULL;
}

/* "id parent major:minor root point options [optional…] - type source options" */
int lp_mount_parse(char *line, struct lp_mount *ret)
{
	enum { ROOT = 3, POINT = 4, FIXED = 6 };
	char *words[FIXED];
	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < FIXED; i++) {
		words[i] = next_word(&line);
		if (!words[i])
			return -EINVAL;
	}
	char *word;
	do {
		word = next_word(&line);
		if (!word)
			return -EINVAL;
	} while (strcmp(word, "-") != 0);
	char *type = next_word(&line);
	char *source = strsep(&line, " "); /* may be empty */
	if (!type || !source || !line)
		return -EINVAL;
	unescape(words[ROOT]);
	unescape(words[POINT]);
	*ret = (struct lp_mount){words[ROOT], words[POINT], type, line};
	return 0;
}

int lp_mounts_each(int dir, int (*visit)(void *data, const struct lp_mount *mount), void *data)
{
	_cleanup_(lp_close_fd) int fd = openat(dir, "mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_(lp_close_file) FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		return lp_errno();
	lp_take_fd(fd);
	_cleanup_(lp_free_ptr) char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, file) > 0) {
		struct lp_mount mount;
		int r = lp_mount_parse(line, &mount) < 0 ? 0 : visit(data, &mount);
		if (r != 0)
			return r;
	}
	return 0;
}

bool lp_mount_is_netns(const struct lp_mount *mount, uint64_t *ret)
{
	/* the root of any other mount begins with a slash */
	return lp_netns_link_parse(mount->root, ret) == 0;
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
