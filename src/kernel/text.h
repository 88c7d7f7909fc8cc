/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "snapshot/snapshot.h"

enum {
	LP_TEXT_SMALL = 4096,          /* more than any file of a few numbers has */
	LP_TEXT_LARGEST = 1024 * 1024, /* every other port reserved is 190 KiB */
};

/*
 * As lp_read_text(), for files of one line: -EINVAL too where no newline ends it, for the kernel
 * always writes one and half a number looks like a whole one.
 */
ssize_t lp_read_line(int dir, const char *path, char *buf, size_t size);

/* The same for up to LP_TEXT_LARGEST bytes; *ret is the caller's to free. */
ssize_t lp_read_long_line(int dir, const char *path, char **ret);

/* Reads a file of one number of at most max. 0 or a negative errno; *ret is set at success. */
int lp_read_number(int dir, const char *path, uint64_t max, uint64_t *ret);

/*
 * A gap for a file below /proc that could not be read or understood: r is what the reader or the
 * parser returned. Nothing where r >= 0 or the file is not there. 0 or -ENOMEM.
 */
int lp_text_gap(struct lp_snapshot *snapshot, const char *what, uint64_t netns, const char *path,
                int r);
/* The same for a file that is to be there: that it is not is a gap too, and `but` what to say of
 * it. */
int lp_text_must(struct lp_snapshot *snapshot, const char *what, uint64_t netns, const char *path,
                 int r, const char *but);
