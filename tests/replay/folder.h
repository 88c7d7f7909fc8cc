/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "kernel/kernel.h"

/* A folder of recorded texts in place of /proc, /sys, /run/netns and /. Removed when done. */
struct folder {
	char path[64];
	int fd;
	struct lp_kernel kernel;
};

void folder_make(struct folder *folder);
void folder_done(struct folder *folder);

/* The path is below the folder: "proc/…", "sys/…", "run/…", "root/…". Folders on the way are made.
 */
void folder_write(const struct folder *folder, const char *path, const void *bytes, size_t size);
void folder_text(const struct folder *folder, const char *path, const char *text);
void folder_link(const struct folder *folder, const char *path, const char *target);
void folder_dir(const struct folder *folder, const char *path);
void folder_remove(const struct folder *folder, const char *path);
