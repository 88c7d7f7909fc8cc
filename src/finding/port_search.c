/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* port-search-slow: more than half of a pool is in use, and connect() searches for long. */

#include <math.h>

#include "finding/remedies.h"
#include "finding/rules.h"
#include "forecast/search.h"
#include "limit/kinds.h"

/* From this part of one CPU on it is worth a word. */
static const double worth = 0.1;

/* The search at one pool. */
struct search {
	double us;  /* of one connect() */
	double cpu; /* part of one CPU that all of them take */
};

static struct search search_of(const struct lp_outlook *outlook)
{
	double us = lp_search_us(outlook->capacity, outlook->used - outlook->live, outlook->live);
	return (struct search){.us = us, .cpu = us * outlook->opens / 1e6};
}

static bool look(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_outlook *ret)
{
	return subject->limit->pool &&
	       lp_outlook_now(judging->facts->snapshot, subject->limit, subject->forecast, ret);
}

bool lp_port_search_is_slow(const struct lp_judging *judging, const struct lp_subject *subject)
{
	struct lp_outlook now;
	return look(judging, subject, &now) && search_of(&now).cpu >= worth;
}

static enum lp_severity test(const struct lp_judging *judging, const struct lp_subject *subject)
{
	return lp_port_search_is_slow(judging, subject) ? LP_WARNING : LP_FINE;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	const struct lp_pool *pool = subject->limit->pool;
	char remote[LP_ADDRESS_TEXT];
	struct lp_outlook now;
	if (!look(judging, subject, &now))
		return;
	struct search search = search_of(&now);
	lp_address_port_text(&pool->key.remote, pool->key.port, remote);
	if (search.cpu < 1)
		lp_finding_summary(
		        finding,
		        "Each connect() to %s searches about %s ms for a port: %s %% of a CPU.",
		        remote, TEXT_REAL(search.us / 1000), TEXT_REAL(search.cpu * 100));
	else
		lp_finding_summary(finding,
		                   "Each connect() to %s searches about %s ms for a port: a CPU "
		                   "does at most %s a second.",
		                   remote, TEXT_REAL(search.us / 1000), TEXT_REAL(1e6 / search.us));
	lp_finding_cause(finding, "More than half of the ports to it are in use, so the kernel "
	                          "first looks at all of one parity in vain.");
	lp_finding_evidence(finding, "%s of %s ports are in use, %s opens/s.",
	                    TEXT_COUNT(subject->limit->used), TEXT_COUNT(subject->limit->capacity),
	                    TEXT_REAL(now.opens));
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	struct lp_outlook now;
	lp_remedy_reuse_connections(judging, subject, finding);
	lp_remedy_more_sources(judging, subject, finding);
	if (!look(judging, subject, &now))
		return;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Let the socket name its port range");
	lp_remedy_step(remedy, "Have the program set IP_LOCAL_PORT_RANGE on the socket before "
	                       "connect(), even to the whole range: the kernel then searches both "
	                       "parities at once (Linux 6.8 and later).");
	lp_remedy_change(remedy, "% of a CPU", fmin(search_of(&now).cpu, 1) * 100, 1);
	lp_remedy_risk(remedy, LP_RISK_LOW, "The program has to be changed.");
	lp_remedy_relief(remedy, search_of(&now).cpu, 0.01);
}

const struct lp_rule lp_rule_port_search_slow = {
        .id = "port-search-slow",
        .title = "connect() searches long for a free port",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .symptom = true,
        .test = test,
        .tell = tell,
        .advise = advise,
};
