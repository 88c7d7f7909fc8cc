/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What configuration on disk wants of the kernel: the lines of sysctl.d(5) about the network. */

#include <stdbool.h>
#include <stddef.h>

/* A line that sets a key. */
struct lp_setting {
	char *file; /* "/etc/sysctl.d/10-net.conf" */
	unsigned line;
	char *key;   /* "net/ipv4/tcp_tw_reuse", as below /proc/sys; may be a pattern of glob(7) */
	char *value; /* its words with one blank between */
	char *running;   /* what the kernel has, the same way; NULL where that is not known */
	size_t loses_to; /* index + 1 of the line that is applied instead; 0: this one is */
};

struct lp_settings {
	struct lp_setting *items; /* in the order in which they are applied */
	size_t n, room;
	bool read;    /* where it would be was looked at */
	char *unread; /* a file that can't be read, and why, as part of a sentence; or NULL */
};

/* Appends a line; takes no string over. 0 or -ENOMEM. */
int lp_settings_add(struct lp_settings *settings, const char *file, unsigned line, const char *key,
                    const char *value);
/* Which of the lines about one key is applied: the last, and any that names it before a pattern. */
void lp_settings_settle(struct lp_settings *settings);
/* The line that is applied to a key, or NULL. */
const struct lp_setting *lp_settings_find(const struct lp_settings *settings, const char *key);
void lp_settings_done(struct lp_settings *settings);
