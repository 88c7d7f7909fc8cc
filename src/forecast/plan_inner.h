/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two halves of a plan share. Inner header of src/forecast. */

#include "forecast/plan.h"

/* What is worked out: a change of it is another case. */
struct lp_plan_case {
	struct lp_plan_wishes wishes;
	struct lp_plan_machine machine;
};

/* Whether connect() takes a TIME_WAIT again that is older than tcp_tw_reuse_delay. */
bool lp_plan_reuses(const struct lp_plan_case *c);

struct lp_plan_need lp_plan_need_of(const struct lp_plan_case *c, enum lp_plan_limit limit);

/* Appends what would make each limit carry that does not. */
void lp_plan_changes(const struct lp_plan_case *c, struct lp_plan *plan);
