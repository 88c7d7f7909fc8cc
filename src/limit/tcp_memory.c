/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * tcp-memory: pages of socket buffers on the whole machine, against tcp_mem[2]
 * (sk_under_memory_pressure() and __sk_mem_raise_allocated() in net/core/sock.c). TIME_WAIT is not
 * in it: its memory is slab.
 */

#include <errno.h>

#include "limit/kinds.h"

static int collect(const struct lp_snapshot *snapshot, struct lp_limits *limits)
{
	const struct lp_machine *machine = &snapshot->machine;
	if (!machine->tcp_pages.known || !machine->tcp_pages_max.known)
		return 0;
	return lp_limits_add(limits, &lp_tcp_memory, LP_NO_NETNS, machine->tcp_pages.n,
	                     machine->tcp_pages_max.n)
	               ? 0
	               : -ENOMEM;
}

static void scope(const struct lp_limit *limit, struct lp_scope *scope)
{
	(void)limit;
	(void)scope;
}

const struct lp_limit_kind lp_tcp_memory = {
        .name = "tcp-memory",
        .label = "TCP memory",
        .refuses = "sockets are squeezed from tcp_mem[1] on, and refused at tcp_mem[2]",
        .of_machine = true,
        .unit = LP_UNIT_PAGES,
        .collect = collect,
        .scope = scope,
};
