/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How likely the next one is refused, where that is a matter of chance. Arithmetic only. */

#include "limit/limit.h"

/*
 * conntrack-entries: 0 while there is room, then that the kernel finds nothing to evict. Not known
 * where that is not, and for other kinds: they refuse when the headroom is 0 and not before.
 */
struct lp_real lp_refusal(const struct lp_snapshot *snapshot, const struct lp_limit *limit);
