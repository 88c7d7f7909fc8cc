/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What TCP counts in a namespace, from /proc/net/netstat and /proc/net/snmp. */

#include "kernel/kernel.h"

/*
 * The counters of the calling thread's namespace into netns->tcp_counters. A file that is not
 * there leaves its figures unknown; one that is refused or torn is a gap ("counters").
 * 0 or -ENOMEM.
 */
int lp_netstat_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                    struct lp_netns *netns);

/*
 * Either file: tables of two lines each, names and figures, both beginning with the table's word.
 * A figure belongs to the name in its column, for columns come and go with the kernel. Adds what
 * it knows to counters. -EINVAL, and nothing set, where the text is torn or knows none.
 */
int lp_netstat_parse(const char *text, struct lp_tcp_counters *counters);
