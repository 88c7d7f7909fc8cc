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
 * Reads a whole file of up to LP_TEXT_LARGEST bytes. *ret is the caller's to free; returns its
 * length, or a negative errno as lp_read_text() does.
 */
ssize_t lp_read_text_whole(int dir, const char *path, char **ret);

/* Reads a file of one number of at most max. 0 or a negative errno; *ret is set at success. */
int lp_read_number(int dir, const char *path, uint64_t max, uint64_t *ret);

/*
 * A gap for a file below /proc that could not be read or understood: r is what the reader or the
 * parser returned. Nothing where r >= 0 or the file is not there. 0 or -ENOMEM.
 */
int lp_text_gap(struct lp_snapshot *snapshot, const char *what, uint64_t netns, const char *path,
                int r);
