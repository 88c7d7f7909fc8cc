/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What connection tracking drops packets for, told from its counters alone. They say less than they
 * know: net/netfilter/nf_conntrack_core.c counts `drop` with `insert_failed` where an entry clashes
 * with another one, which is also how NAT without a free port ends, and `drop` alone where there
 * could be no entry at all. What rules drop it does not count.
 */

#include "snapshot/snapshot.h"

enum lp_drop_cause {
	LP_DROP_TABLE_FULL,  /* no entry: nf_conntrack_max */
	LP_DROP_NO_NAT_PORT, /* every port that NAT tried was in use */
	LP_DROP_CLASH,       /* another connection has the same addresses and ports */
	LP_DROP_BUCKET_FULL, /* the entry's bucket of the hash table is too long */
	LP_DROP_OTHER,       /* none of these was seen: no memory, a helper's own check */
	LP_DROP_CAUSES,
};

/* How each is called: in JSON, and for people. */
struct lp_drop_name {
	const char *name;  /* "table_full": fixed */
	const char *label; /* "the table is full" */
};
extern const struct lp_drop_name lp_drop_names[LP_DROP_CAUSES];

struct lp_drops {
	uint64_t packets[LP_DROP_CAUSES];
	uint64_t all; /* their sum */
};

/*
 * From counters, or their growth. `full`: the table was full in that time. False, and *ret all 0,
 * where the counters are not known.
 */
bool lp_drops_tell(const struct lp_conntrack_counters *counters, bool full, struct lp_drops *ret);

/*
 * Of a namespace of the snapshot: what was dropped since it began, or in the time between two looks
 * (`growth`). The table was full then if it is now, if entries were evicted, or if the kernel log
 * says so.
 */
bool lp_drops_of(const struct lp_snapshot *snapshot, const struct lp_netns *netns, bool growth,
                 struct lp_drops *ret);

/*
 * Whether a table may be called full for this purpose: where an entry goes another one takes its
 * place at once, so that a look rarely sees the last one.
 */
bool lp_drops_is_full(struct lp_figure entries, struct lp_figure max);
