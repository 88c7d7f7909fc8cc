/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What somebody wants explained, out of the text that they gave. */

#include "base/error.h"
#include "finding/finding.h"
#include "finding/line.h"

enum lp_query_of {
	LP_QUERY_WORST,       /* nothing was given */
	LP_QUERY_SYMPTOM,     /* an error or a line: `line` */
	LP_QUERY_DESTINATION, /* line.address, and line.port if not 0 */
	LP_QUERY_PID,         /* line.pid */
	LP_QUERY_LIMIT,
	LP_QUERY_FINDING,
};

struct lp_query {
	enum lp_query_of of;
	struct lp_line line;
	const struct lp_limit_kind *limit;
	const struct lp_rule *rule;
};

/* 0, or -EINVAL with a sentence in err: what is not understood, and what would be. */
int lp_query_read(const char *what, struct lp_query *ret, struct lp_error *err);
