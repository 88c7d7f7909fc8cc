/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A model in, bytes out. A view asks the system for nothing: colour, width and character set come
 * in as options.
 */

#include <stdio.h>

#include "finding/finding.h"
#include "forecast/forecast.h"
#include "limit/limit.h"

struct lp_report {
	struct lp_snapshot *snapshot;
	struct lp_limits limits;          /* nearest to exhaustion first */
	struct lp_forecast *forecasts;    /* one a limit */
	struct lp_findings findings;      /* worst first */
	const struct lp_limit_kind *only; /* the kind that was asked for; NULL: all */
};

struct lp_text_options {
	unsigned width; /* columns; 80 where not known */
	bool colour;
	bool unicode; /* else plain ASCII */
	size_t rows;  /* at most so many limits; 0 is all */
};

/* 0, or a negative errno of writing to `out`. `all` false writes only the rows with use. */
int lp_view_text(const struct lp_report *report, const struct lp_text_options *options, FILE *out);

/* JSON schema 1, every limit of the report, one line. 0, or a negative errno. */
int lp_view_json(const struct lp_report *report, FILE *out);
