/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reports made by hand, for the views alone: their figures come from here and not from the limits'
 * arithmetic, so that a golden file changes when a view does.
 */

#include "view/view.h"

struct fixture {
	const char *name;
	void (*fill)(struct lp_report *report);
};

/* Ends with an entry without a name. */
extern const struct fixture fixtures[];

/* The report, sorted as given; fixture_free() it. */
struct lp_report *fixture_make(const struct fixture *fixture);
void fixture_free(struct lp_report *report);
