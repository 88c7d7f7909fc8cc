/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ports for one destination that run short: local-ports-exhausted, local-ports-near. */

#include <stdio.h>

#include "finding/remedies.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* "from 10.0.0.1 to 10.0.0.2:80", or what stands for every destination. */
static const char *between(const struct lp_limit *limit, char *buf, size_t size)
{
	char local[LP_ADDRESS_TEXT], remote[LP_ADDRESS_TEXT];
	if (limit->pool)
		(void)snprintf(buf, size, "from %s to %s",
		               lp_address_text(&limit->pool->key.local, local),
		               lp_address_port_text(&limit->pool->key.remote, limit->pool->key.port,
		                                    remote));
	else
		(void)snprintf(buf, size, "to a new destination (%s)",
		               limit->family == AF_INET6 ? "IPv6" : "IPv4");
	return buf;
}
enum { BETWEEN = 2 * LP_ADDRESS_TEXT + 32 };
#define TEXT_BETWEEN(limit) between((limit), (char[BETWEEN]){0}, BETWEEN)

/* Where the range has no port at all, that is said once, and not of every destination. */
static bool said_elsewhere(const struct lp_limit *limit)
{
	return limit->capacity == 0 && limit->family != AF_INET;
}

static enum lp_severity test_exhausted(const struct lp_judging *judging,
                                       const struct lp_subject *subject)
{
	(void)judging;
	bool exhausted = lp_subject_is_exhausted(subject) && !said_elsewhere(subject->limit);
	return exhausted ? LP_CRITICAL : LP_FINE;
}

static enum lp_severity test_near(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	(void)judging;
	bool near = lp_subject_is_near(subject) && !lp_subject_is_exhausted(subject);
	return near ? LP_WARNING : LP_FINE;
}

/* Which state most of the connections are in. */
static enum lp_tcp_state most_are(const struct lp_pool *pool)
{
	int most = LP_ESTABLISHED;
	for (int state = 1; state < LP_STATES; state++)
		if (pool->states[state] > pool->states[most])
			most = state;
	return (enum lp_tcp_state)most;
}

static void tell_cause(const struct lp_judging *judging, const struct lp_subject *subject,
                       struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	if (limit->capacity == 0) {
		lp_finding_cause(finding,
		                 "Every port of the range, %u to %u, is reserved or held by a "
		                 "socket that bound it, and connect() passes those over.",
		                 (unsigned)netns->range_low.n, (unsigned)netns->range_high.n);
		return;
	}
	switch (most_are(limit->pool)) {
	case LP_TIME_WAIT:
		lp_finding_cause(finding, "Connections end here first, and each keeps its port for "
		                          "60 s after its end (TIME_WAIT).");
		return;
	case LP_SYN_SENT:
		lp_finding_cause(finding, "The other end does not answer: most connections are "
		                          "still being opened, and each holds a port meanwhile.");
		return;
	case LP_CLOSE_WAIT:
		lp_finding_cause(finding, "The other end has closed most of them, and the program "
		                          "here has not: each keeps its port until it does.");
		return;
	default:
		lp_finding_cause(finding, "So many connections to this one address and port are "
		                          "open at the same time.");
	}
}

static void tell_states(const struct lp_pool *pool, struct lp_finding *finding)
{
	char text[256] = "";
	size_t n = 0;
	for (int state = 1; state < LP_STATES && n < sizeof(text); state++)
		if (pool->states[state])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
			                      TEXT_COUNT(pool->states[state]),
			                      lp_state_name((enum lp_tcp_state)state));
	lp_finding_evidence(finding, "By state: %s.", text);
}

static void tell_rate(const struct lp_forecast *forecast, struct lp_finding *finding)
{
	const struct lp_real *end = &forecast->exhausted_in_s;
	if (!forecast->rate_recent.known || !forecast->sustainable.known)
		return;
	lp_finding_evidence(finding, "%s opens/s now, %s over 60 s; %s can last.",
	                    TEXT_REAL(forecast->rate_recent.n), TEXT_REAL(forecast->rate.n),
	                    TEXT_REAL(forecast->sustainable.n));
	if (end->known && end->n > 0 && end->n <= LP_SOON_S)
		lp_finding_evidence(finding, "At this rate it is full in %s.", TEXT_SPAN(end->n));
}

static void tell_evidence(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	if (netns->held || netns->reserved)
		lp_finding_evidence(finding,
		                    "Of the range %u to %u, %s ports are reserved and %s held by "
		                    "sockets that bound them.",
		                    (unsigned)netns->range_low.n, (unsigned)netns->range_high.n,
		                    TEXT_COUNT(netns->reserved), TEXT_COUNT(netns->held));
	if (subject->limit->pool && subject->limit->used)
		tell_states(subject->limit->pool, finding);
	tell_rate(subject->forecast, finding);
}

static void tell_exhausted(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	if (limit->headroom)
		lp_finding_summary(finding, "Only %s of %s local ports %s %s left.",
		                   TEXT_COUNT(limit->headroom), TEXT_COUNT(limit->capacity),
		                   TEXT_BETWEEN(limit), limit->headroom == 1 ? "is" : "are");
	else if (limit->capacity)
		lp_finding_summary(finding,
		                   "All %s local ports %s are in use: connect() fails with "
		                   "EADDRNOTAVAIL.",
		                   TEXT_COUNT(limit->capacity), TEXT_BETWEEN(limit));
	else
		lp_finding_summary(finding,
		                   "There is no local port %s: connect() fails with "
		                   "EADDRNOTAVAIL.",
		                   TEXT_BETWEEN(limit));
	tell_cause(judging, subject, finding);
	tell_evidence(judging, subject, finding);
}

static void tell_near(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	lp_finding_summary(finding, "%s of the local ports %s are in use: %s of %s.",
	                   TEXT_PERCENT(limit->pressure), TEXT_BETWEEN(limit),
	                   TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity));
	tell_cause(judging, subject, finding);
	tell_evidence(judging, subject, finding);
}

const struct lp_rule lp_rule_local_ports_exhausted = {
        .id = "local-ports-exhausted",
        .title = "no local port is left for a destination",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .symptom = true,
        .test = test_exhausted,
        .tell = tell_exhausted,
        .advise = lp_remedies_of_pool,
};

const struct lp_rule lp_rule_local_ports_near = {
        .id = "local-ports-near",
        .title = "local ports for a destination run short",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .symptom = true,
        .test = test_near,
        .tell = tell_near,
        .advise = lp_remedies_of_pool,
};
