/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events, one line each, for people or as JSON; and what they were in all. */

#include <stdio.h>

#include "snapshot/event.h"

struct lp_event_style {
	bool json;
	bool unicode; /* text: else plain ASCII */
	bool colour;
};

/* What a trace told in all. */
struct lp_event_totals {
	uint64_t counts[LP_EVENTS];
	double seconds;
	uint64_t lost;
};

/* Each writes a line and lets it go out at once. 0, or a negative errno of writing. */
int lp_event_write(const struct lp_event_style *style, const struct lp_event *event, FILE *out);
int lp_event_write_missing(const struct lp_event_style *style, const char *what, const char *why,
                           FILE *out);
int lp_event_write_totals(const struct lp_event_style *style, const struct lp_event_totals *totals,
                          FILE *out);
