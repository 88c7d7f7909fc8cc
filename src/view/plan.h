/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "forecast/plan.h"
#include "view/view.h"

/* 0, or a negative errno of writing to `out`. */
int lp_plan_view_text(const struct lp_plan *plan, const struct lp_text_options *options, FILE *out);

/* One object in one line; lastport-plan(1) has its fields. 0, or a negative errno. */
int lp_plan_view_json(const struct lp_plan *plan, FILE *out);
