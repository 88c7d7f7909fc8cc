/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel log said of limits. A line is a sign that something was refused and when, never
 * how often: the kernel lets ten lines through in 5 s and holds the others back. Counters tell how
 * often.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lp_log_what {
	LP_LOG_CONNTRACK_FULL,   /* nf_conntrack: table full, dropping packet */
	LP_LOG_CONNTRACK_HELPER, /* nf_ct_ftp: dropping packet: … */
	LP_LOG_TIME_WAIT,        /* TCP: time wait bucket table overflow */
	LP_LOG_SYN_COOKIES,      /* Possible SYN flooding on port …. Sending cookies. */
	LP_LOG_SYN_DROPS,        /* Possible SYN flooding on port …. Dropping request. */
	LP_LOG_RANGE_PARITY,     /* ip_local_port_range: prefer different parity … */
	LP_LOG_TCP_MEMORY,       /* TCP: out of memory -- consider tuning tcp_mem */
	LP_LOG_ORPHANS,          /* TCP: too many orphaned sockets */
	LP_LOG_KINDS,
};

/* What is fixed of each. */
struct lp_log_kind {
	const char *name;  /* as JSON has it: "conntrack-full" */
	const char *words; /* of the line itself, for people: "table full" */
	const char *limit; /* the kind of limit that it is about */
};
extern const struct lp_log_kind lp_log_kinds[LP_LOG_KINDS];

enum { LP_LOG_SUBJECT = 64 };

/* One line, or all lines that say the same. */
struct lp_log_entry {
	enum lp_log_what what;
	uint64_t netns;               /* the inode that the line names, or 0 */
	char subject[LP_LOG_SUBJECT]; /* "127.0.0.1:80", "80", "ftp"; or empty */
	uint64_t lines;
	int64_t first_ms, last_ms; /* since the epoch */
};

enum { LP_LOG_ENTRIES = 32 };

struct lp_log {
	bool read;
	int error; /* not read: the negative errno that says why; 0: nobody asked */
	bool cut;  /* longer than what is read at once: the newest records are missing */
	struct lp_log_entry entries[LP_LOG_ENTRIES]; /* the last said first */
	size_t n;
	uint64_t crowded_out; /* lines of others, that were said before all of these */
	uint64_t suppressed;  /* lines of the network that the kernel says it held back */
	uint64_t lost;        /* records that were overwritten before they were read */
};

/* Why the log can't be read, for people, by the negative errno. */
const char *lp_log_unread(int error);

/*
 * Adds a line, later than those before, to the entry that says the same. The entry that was said
 * longest ago gives way where there is no room.
 */
void lp_log_add(struct lp_log *log, const struct lp_log_entry *line);
