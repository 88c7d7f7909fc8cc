/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kernel log, /dev/kmsg: a record a read(). */

#include "kernel/kernel.h"

/* More than any record: CONSOLE_EXT_LOG_MAX in kernel/printk/internal.h. */
enum { LP_KMSG_RECORD = 8192 };

/* A reader of the log, from where it stands. */
struct lp_kmsg {
	int fd;
	int64_t boot_ms;     /* when the log's clock was 0, since the epoch */
	uint64_t next;       /* the sequence number that is awaited */
	bool overrun;        /* what is read next is not what was awaited */
	uint64_t suppressed; /* as in struct lp_log */
	uint64_t lost;
};
#define LP_KMSG_NONE ((struct lp_kmsg){.fd = -1})

/*
 * Opens the log at its oldest record, or behind its newest. It never blocks: poll() its descriptor
 * for POLLIN. 0, or a negative errno: -EPERM where kernel.dmesg_restrict keeps it from this user,
 * -ENOENT in a container without it. To be closed by lp_kmsg_close().
 */
int lp_kmsg_open(const struct lp_kernel *kernel, bool at_end, struct lp_kmsg *ret);
void lp_kmsg_close(struct lp_kmsg *kmsg);

/*
 * Reads up to the next line that is about a limit, at most *records records, and takes what it read
 * off *records. 1 and *ret set; 0 where there is none now (or *records is 0); a negative errno.
 */
int lp_kmsg_next(struct lp_kmsg *kmsg, unsigned *records, struct lp_log_entry *ret);

/*
 * What one read() gave: n bytes at record, or a negative errno. As lp_kmsg_next(), but 0 also for a
 * record that is about something else, and -EAGAIN where there is no more. A record that was
 * overwritten (-EPIPE) or is none is passed over.
 */
int lp_kmsg_take(struct lp_kmsg *kmsg, const char *record, ssize_t n, struct lp_log_entry *ret);

/* The whole log as it stands, into log; where it can't be read, log->error says why. */
void lp_kmsg_read(const struct lp_kernel *kernel, struct lp_log *log);
