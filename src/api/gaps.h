/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "limit/limit.h"

/* Whether figures of the kind may be wrong or missing for it. What is not known here, may. */
bool lp_gap_concerns(const struct lp_gap *gap, const struct lp_limit_kind *kind);

/*
 * Takes out of the snapshot the gaps that leave the answer whole: what concerns kinds of limits or
 * namespaces that were not asked for. `netns` is as in the options of a look; `only` may be NULL.
 */
void lp_gaps_select(struct lp_snapshot *snapshot, const char *netns,
                    const struct lp_limit_kind *only);

/*
 * The same for lines of the kernel log: of other kinds, and those that name a namespace which was
 * not asked for. A line that names none stays.
 */
void lp_log_select(struct lp_snapshot *snapshot, const char *netns,
                   const struct lp_limit_kind *only);
