/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which limits can be behind a symptom, which of them is near on this machine now, and what speaks
 * for and against each.
 */

#include "finding/query.h"

/* How likely a cause is, worst first. */
enum lp_likely {
	LP_LIKELY,   /* near or full now */
	LP_POSSIBLE, /* far from it now, but the kernel counted it before */
	LP_UNLIKELY, /* far from it */
	LP_NOT_SEEN, /* there is no such limit to be seen here */
};
/* "likely" … */
const char *lp_likely_name(enum lp_likely likely);

struct lp_cause {
	const struct lp_limit_kind *kind;
	const char *how; /* why that limit ends so, half a sentence; NULL: nothing to say */
	enum lp_likely likely;
	size_t limit; /* the nearest one of the kind that matches; or LP_NO_LIMIT */
	bool by_destination, by_process; /* … it is of the one that was asked for */
	struct lp_texts speaks_for, speaks_against;
};

enum { LP_CAUSES = 8, LP_EXPLAINED_FINDINGS = 4 };

struct lp_explanation {
	struct lp_query query;
	struct lp_cause causes[LP_CAUSES]; /* likeliest first */
	size_t n_causes;
	/* that tell more, worst first; they live with the report */
	const struct lp_finding *findings[LP_EXPLAINED_FINDINGS];
	size_t n_findings;
	const struct lp_not_judged *not_judged; /* of the finding that was asked for, or NULL */
	struct lp_texts ledger; /* what it remembers, or that it is off; where ports matter */
};

/* 0 or -ENOMEM. *ret is to be ended with lp_explanation_done() in any case. */
int lp_explain(const struct lp_facts *facts, const struct lp_findings *findings,
               const struct lp_query *query, struct lp_explanation *ret);
void lp_explanation_done(struct lp_explanation *explanation);
