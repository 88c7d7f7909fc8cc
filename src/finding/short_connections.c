/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * short-connections: a connection for every request. The cause behind most of the others: each one
 * leaves a TIME_WAIT that holds a port for 60 s, and an entry of conntrack for 120 s.
 */

#include "finding/remedies.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* Three of four connections are over: open ones are the exception. */
static bool mostly_over(const struct lp_pool *pool)
{
	enum { PART = 4 };
	return pool->states[LP_TIME_WAIT] >= lp_pool_total(pool) / PART * (PART - 1);
}

static enum lp_severity test(const struct lp_judging *judging, const struct lp_subject *subject)
{
	(void)judging;
	const struct lp_limit *limit = subject->limit;
	if (!limit->pool || !subject->forecast->rate.known || !mostly_over(limit->pool) ||
	    !lp_subject_is_near(subject))
		return LP_FINE;
	return LP_WARNING;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	(void)judging;
	const struct lp_pool *pool = subject->limit->pool;
	char remote[LP_ADDRESS_TEXT];
	lp_address_port_text(&pool->key.remote, pool->key.port, remote);
	lp_finding_summary(finding, "%s connections a second are opened to %s, used and closed.",
	                   TEXT_REAL(subject->forecast->rate.n), remote);
	lp_finding_cause(finding, "A connection for every request or two: each keeps its port for "
	                          "60 s after its end (TIME_WAIT).");
	lp_finding_evidence(finding, "%s of the %s connections to it are in TIME_WAIT.",
	                    TEXT_COUNT(pool->states[LP_TIME_WAIT]),
	                    TEXT_COUNT(lp_pool_total(pool)));
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	lp_remedy_reuse_connections(judging, subject, finding);
	lp_remedy_tw_reuse(judging, subject, finding);
	lp_remedy_more_sources(judging, subject, finding);
	lp_remedy_wider_range(judging, subject, finding);
}

/* The same pool running short. */
static bool explains(const struct lp_judging *judging, const struct lp_finding *cause,
                     const struct lp_finding *symptom)
{
	(void)judging;
	return cause->limit == symptom->limit;
}

const struct lp_rule lp_rule_short_connections = {
        .id = "short-connections",
        .title = "a connection is opened for every request",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .test = test,
        .tell = tell,
        .advise = advise,
        .explains = explains,
};
