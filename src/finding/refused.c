/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * connects-refused: connect() found no port. The kernel counts that nowhere; the ledger does. Each
 * refusal is told of the pool of its destination, or where there is no such pool (any more), of the
 * pool that a new destination would get.
 */

#include "finding/remedies.h"
#include "finding/rules.h"
#include "limit/kinds.h"
#include "snapshot/ledger.h"

/* Looked at, of those that came within the last minute; those with most come first. */
enum { RECENT = 64 };

static bool has_pool(const struct lp_netns *netns, const struct lp_ledger_refusal *refusal)
{
	for (size_t i = 0; i < netns->n_pools; i++) {
		const struct lp_pool_key *key = &netns->pools[i].key;
		if (key->side == LP_OPENED && key->port == refusal->port &&
		    lp_address_equal(&key->remote, &refusal->remote))
			return true;
	}
	return false;
}

static bool is_recent(const struct lp_judging *judging, const struct lp_ledger_refusal *refusal)
{
	return judging->facts->snapshot->taken_at_ms - refusal->last_ms <=
	       (int64_t)LP_SOON_S * 1000;
}

static bool is_of(const struct lp_judging *judging, const struct lp_subject *subject,
                  const struct lp_ledger_refusal *refusal)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_pool *pool = subject->limit->pool;
	if (!lp_netns_id_is(refusal->party.netns, lp_netns_id(netns)))
		return false;
	if (!pool)
		return subject->limit->family == refusal->remote.family &&
		       !has_pool(netns, refusal);
	return pool->key.port == refusal->port &&
	       lp_address_equal(&pool->key.remote, &refusal->remote);
}

/* Those that are the subject's. */
static struct lp_refused refused_of(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	const struct lp_ledger_facts *ledger = judging->facts->snapshot->ledger;
	struct lp_refused sum = {0};
	size_t recent = 0;
	for (size_t i = 0; i < ledger->n_refusals && recent < RECENT; i++) {
		const struct lp_ledger_refusal *refusal = &ledger->refusals[i];
		if (!is_recent(judging, refusal))
			continue;
		recent++;
		if (is_of(judging, subject, refusal))
			lp_refused_add(&sum, refusal);
	}
	return sum;
}

static enum lp_severity test(const struct lp_judging *judging, const struct lp_subject *subject)
{
	return refused_of(judging, subject).n ? LP_CRITICAL : LP_FINE;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	struct lp_refused sum = refused_of(judging, subject);
	const struct lp_ledger_refusal *most = sum.most;
	int64_t now = judging->facts->snapshot->taken_at_ms;
	char remote[LP_ADDRESS_TEXT];
	if (!most)
		return;
	lp_finding_summary(finding, "%s connect%s to %s found no port, the last %s ago.",
	                   TEXT_COUNT(sum.n), lp_text_plural(sum.n),
	                   lp_address_port_text(&most->remote, most->port, remote),
	                   TEXT_SPAN((double)(now - sum.last->last_ms) / 1000));
	if (most->why == LP_REFUSAL_BOUND_PORT)
		lp_finding_cause(finding, "The port that bind() had given the socket already had a "
		                          "connection to this destination.");
	else
		lp_finding_cause(finding, "Every port of the range was in use to it, and connect() "
		                          "failed with EADDRNOTAVAIL.");
	lp_finding_evidence(finding, "%s (%d) was refused %s times since %s before this look.",
	                    most->party.command, most->party.pid, TEXT_COUNT(most->refused),
	                    TEXT_SPAN((double)(now - most->first_ms) / 1000));
}

/* The same pool being short of ports says less. */
static bool explains(const struct lp_judging *judging, const struct lp_finding *cause,
                     const struct lp_finding *symptom)
{
	(void)judging;
	return cause->limit == symptom->limit && symptom->rule->symptom &&
	       symptom->rule != cause->rule;
}

const struct lp_rule lp_rule_connects_refused = {
        .id = "connects-refused",
        .title = "connect() was refused for want of a port",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_LEDGER,
        .symptom = true,
        .test = test,
        .tell = tell,
        .advise = lp_remedies_of_pool,
        .explains = explains,
};
