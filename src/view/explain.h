/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "finding/explain.h"
#include "view/view.h"

/* The explanation is of the report. 0, or a negative errno of writing to `out`. */
int lp_explain_view_text(const struct lp_report *report, const struct lp_explanation *explanation,
                         const struct lp_text_options *options, FILE *out);

/* One object in one line; lastport-explain(1) has its fields. 0, or a negative errno. */
int lp_explain_view_json(const struct lp_report *report, const struct lp_explanation *explanation,
                         FILE *out);
