/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * orphans: connections that no process holds any more, against tcp_max_orphans
 * (tcp_check_oom() in net/ipv4/tcp.c).
 */

#include <errno.h>

#include "limit/kinds.h"

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	const struct lp_machine *machine = &snapshot->machine;
	if (!machine->orphans.known || !machine->max_orphans.known)
		return 0;
	return lp_limits_add(limits, &lp_orphans, LP_NO_NETNS, machine->orphans.n,
	                     machine->max_orphans.n)
	               ? 0
	               : -ENOMEM;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	(void)limit;
	(void)scope;
}

const struct lp_limit_kind lp_orphans = {
        .name = "orphans",
        .label = "orphans",
        .refuses = "connections without a descriptor are reset",
        .of_machine = true,
        .collect = collect,
        .scope = scope,
};
