/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How likely the next one is refused, where that is a matter of chance. Arithmetic only. */

#include "limit/limit.h"

/*
 * snat-ports: forecast/snat.h; 0 where it is below 0.0005.
 *
 * conntrack-entries: 0 while there is room, then that the kernel finds nothing to evict. Not known
 * where that is not, and for other kinds: they refuse when the headroom is 0 and not before.
 */
struct lp_chance {
	struct lp_real refused; /* 0 to 1 */
	struct lp_real found;   /* snat-ports: ports in use that the search meets on average */
};
struct lp_chance lp_chance_of(const struct lp_snapshot *snapshot, const struct lp_limit *limit);
