/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/owners.h"

#include <errno.h>
#include <string.h>

#include "api/report.h"

/* Of a pool that was estimated no connection is told apart from the others. */
static int tell_estimated(struct lp_snapshot *snapshot, const struct lp_owner_wish *wish)
{
	if (!wish->pool->about)
		return 0;
	return lp_snapshot_gap(snapshot, "owners", snapshot->netns[wish->netns].inode,
	                       "those of pools that are estimates; --exact tells them");
}

int lp_report_owners(const struct lp_kernel *kernel, struct lp_owner_notes *notes,
                     struct lp_report *report)
{
	struct lp_owner_wish wishes[LP_OWNERS_POOLS];
	size_t n = 0;
	int r = 0;
	for (size_t i = 0; i < report->limits.n && n < LP_OWNERS_POOLS && r == 0; i++) {
		const struct lp_limit *limit = &report->limits.items[i];
		if (!limit->kind->of_pool || !limit->pool)
			continue;
		wishes[n] = (struct lp_owner_wish){limit->netns, limit->pool};
		r = tell_estimated(report->snapshot, &wishes[n++]);
	}
	return r < 0 ? r : lp_owners_find(kernel, notes, report->snapshot, wishes, n);
}

static const struct lp_pool_owners *owners_of(const struct lastport_report *report, size_t limit)
{
	const struct lp_report *view = &report->view;
	if (limit >= view->limits.n || !view->limits.items[limit].kind->of_pool)
		return NULL;
	return lp_owners_of(view->snapshot, view->limits.items[limit].pool);
}

size_t lastport_report_owners(const struct lastport_report *report, size_t limit)
{
	const struct lp_pool_owners *owners = owners_of(report, limit);
	return owners ? owners->n : 0;
}

static uint64_t known_or_0(struct lp_figure figure, unsigned bit, unsigned *known)
{
	if (!figure.known)
		return 0;
	*known |= bit;
	return figure.n;
}

int lastport_report_owner(const struct lastport_report *report, size_t limit, size_t owner,
                          struct lastport_owner *ret)
{
	size_t size = ret->size;
	const struct lp_pool_owners *owners = owners_of(report, limit);
	if (size <= sizeof(size) || size > sizeof(*ret))
		return -EINVAL;
	if (!owners || owner >= owners->n)
		return -ERANGE;
	const struct lp_owner *one = &owners->items[owner];
	struct lastport_owner out = {
	        .size = sizeof(out),
	        .pid = (uint32_t)one->pid,
	        .shared_with = one->sharing,
	        .command = one->command,
	        .cgroup = one->cgroup,
	        .connections = lp_owner_total(one),
	        .time_wait = one->states[LP_TIME_WAIT],
	};
	out.opened = known_or_0(one->opened, LASTPORT_KNOWN_OPENED, &out.known);
	out.closed_first = known_or_0(one->closed_first, LASTPORT_KNOWN_CLOSED_FIRST, &out.known);
	memcpy(ret, &out, size);
	return 0;
}
