/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/log.h"

#include <errno.h>
#include <string.h>

const struct lp_log_kind lp_log_kinds[LP_LOG_KINDS] = {
        [LP_LOG_CONNTRACK_FULL] = {"conntrack-full", "table full", "conntrack-entries"},
        [LP_LOG_CONNTRACK_HELPER] = {"conntrack-helper", "dropping packet", "conntrack-entries"},
        [LP_LOG_TIME_WAIT] = {"time-wait-overflow", "time wait bucket table overflow",
                              "time-wait-buckets"},
        [LP_LOG_SYN_COOKIES] = {"syn-cookies", "Possible SYN flooding, sending cookies",
                                "syn-queue"},
        [LP_LOG_SYN_DROPS] = {"syn-drops", "Possible SYN flooding, dropping requests", "syn-queue"},
        [LP_LOG_RANGE_PARITY] = {"range-parity", "prefer different parity for start/end values",
                                 "local-ports"},
        [LP_LOG_TCP_MEMORY] = {"tcp-memory", "out of socket memory", "tcp-memory"},
        [LP_LOG_ORPHANS] = {"orphans", "too many orphaned sockets", "orphans"},
};

const char *lp_log_unread(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return "this user may not (kernel.dmesg_restrict)";
	case -ENOENT:
		return "there is no /dev/kmsg here";
	default:
		return strerror(-error);
	}
}

static bool says_the_same(const struct lp_log_entry *a, const struct lp_log_entry *b)
{
	return a->what == b->what && a->netns == b->netns && !strcmp(a->subject, b->subject);
}

void lp_log_add(struct lp_log *log, const struct lp_log_entry *line)
{
	struct lp_log_entry now = *line;
	size_t at = 0;
	while (at < log->n && !says_the_same(&log->entries[at], line))
		at++;
	if (at < log->n) {
		now.lines += log->entries[at].lines;
		now.first_ms = log->entries[at].first_ms;
	} else if (log->n < LP_LOG_ENTRIES) {
		log->n++;
	} else {
		at = LP_LOG_ENTRIES - 1;
		log->crowded_out += log->entries[at].lines;
	}
	memmove(&log->entries[1], &log->entries[0], at * sizeof(log->entries[0]));
	log->entries[0] = now;
}
