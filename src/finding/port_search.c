/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* port-search-slow: more than half of a pool is in use, and connect() searches for long. */

#include <math.h>

#include "finding/remedies.h"
#include "finding/rules.h"
#include "forecast/search.h"
#include "limit/kinds.h"
#include "snapshot/ledger.h"

/* From this part of one CPU on it is worth a word. */
static const double worth = 0.1;

/* The search at one pool. */
struct search {
	double us;     /* of one connect() */
	double cpu;    /* part of one CPU that all of them take */
	bool measured; /* by the ledger; else as measured elsewhere */
};

/* What half of the connects to the pool's destination stayed below lately, by the ledger. */
static struct lp_figure measured_ns(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	const struct lp_ledger_facts *ledger = judging->facts->snapshot->ledger;
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_pool_key *key = &subject->limit->pool->key;
	for (size_t i = 0; ledger && i < ledger->n_searches; i++) {
		const struct lp_ledger_search_times *search = &ledger->searches[i];
		if (lp_netns_id_is(search->netns, lp_netns_id(netns)) &&
		    search->port == key->port && lp_address_equal(&search->remote, &key->remote))
			return lp_search_quantile(search->recent, 0.5);
	}
	return (struct lp_figure){0};
}

static struct search search_of(const struct lp_judging *judging, const struct lp_subject *subject,
                               const struct lp_outlook *outlook)
{
	struct lp_figure ns = measured_ns(judging, subject);
	double us = lp_search_us(outlook->capacity, outlook->used - outlook->live, outlook->live);
	/* the ledger's is the upper end of a range that doubles: its middle */
	if (ns.known)
		us = (double)ns.n / 1000 * 3 / 4;
	return (struct search){.us = us, .cpu = us * outlook->opens / 1e6, .measured = ns.known};
}

static bool look(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_outlook *ret)
{
	/* below half there is nothing to search, and of most pools that is known at once */
	return subject->limit->pool && subject->limit->used * 2 >= subject->limit->capacity &&
	       lp_outlook_now(judging->facts->snapshot, subject->limit, subject->forecast, ret);
}

bool lp_port_search_is_slow(const struct lp_judging *judging, const struct lp_subject *subject)
{
	struct lp_outlook now;
	return look(judging, subject, &now) && search_of(judging, subject, &now).cpu >= worth;
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
	struct search search = search_of(judging, subject, &now);
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
	if (search.measured)
		lp_finding_evidence(finding, "The ledger has measured the search lately.");
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
	lp_remedy_change(remedy, "% of a CPU", fmin(search_of(judging, subject, &now).cpu, 1) * 100,
	                 1);
	lp_remedy_risk(remedy, LP_RISK_LOW, "The program has to be changed.");
	lp_remedy_relief(remedy, search_of(judging, subject, &now).cpu, 0.01);
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
