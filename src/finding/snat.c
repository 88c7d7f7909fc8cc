/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Source NAT that runs out of ports: snat-ports-exhausted, snat-ports-near. */

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"
#include "snapshot/nat.h"

enum { FIRST_PORT = 1024, LAST_PORT = 65535 };

/* How likely the next connection is dropped, which may be so long before the last port is used. */
static double chance(const struct lp_subject *subject)
{
	const struct lp_real *refused = &subject->forecast->chance.refused;
	return refused->known ? refused->n : 0;
}

static bool is_exhausted(const struct lp_subject *subject)
{
	const double one_in_ten = 0.1;
	return subject->limit->headroom == 0 || chance(subject) >= one_in_ten;
}

static bool is_near(const struct lp_subject *subject)
{
	const double noticed = 0.001;
	return subject->limit->pressure >= LP_NEAR || chance(subject) >= noticed;
}

static enum lp_severity test_exhausted(const struct lp_judging *judging,
                                       const struct lp_subject *subject)
{
	(void)judging;
	return is_exhausted(subject) ? LP_CRITICAL : LP_FINE;
}

static enum lp_severity test_near(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	(void)judging;
	return is_near(subject) && !is_exhausted(subject) ? LP_WARNING : LP_FINE;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	const struct lp_nat_key *key = &limit->nat->key;
	const struct lp_conntrack_counters *counters =
	        &lp_subject_netns(judging, subject)->conntrack_counters;
	char translated[LP_ADDRESS_TEXT], remote[LP_ADDRESS_TEXT], address[LP_ADDRESS_TEXT];
	struct lp_nat_client clients[LP_NAT_CLIENTS];
	lp_address_text(&key->translated, translated);
	lp_address_port_text(&key->remote, key->remote_port, remote);
	if (is_exhausted(subject))
		lp_finding_summary(finding,
		                   "Source NAT drops new connections to %s: %s of %s ports of %s "
		                   "are in use.",
		                   remote, TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity),
		                   translated);
	else
		lp_finding_summary(finding,
		                   "Source NAT runs short of ports to %s: %s of %s of %s are in "
		                   "use.",
		                   remote, TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity),
		                   translated);
	lp_finding_cause(finding,
	                 "All clients behind this address share one range of ports to that "
	                 "destination, and the kernel gives up its search before the last "
	                 "one is used.");
	if (subject->forecast->chance.refused.known)
		lp_finding_evidence(finding,
		                    "The chance that the next connection is dropped is %s.",
		                    TEXT_PERCENT((uint32_t)(chance(subject) * LP_FULL)));
	if (lp_nat_clients(limit->nat, clients))
		lp_finding_evidence(finding, "The client %s has %s of the ports.",
		                    lp_address_text(&clients[0].address, address),
		                    TEXT_COUNT(clients[0].ports));
	if (counters->insert_failed.known && counters->insert_failed.n)
		lp_finding_evidence(finding, "insert_failed is %s: each was a packet dropped.",
		                    TEXT_COUNT(counters->insert_failed.n));
	lp_finding_evidence(finding, "The kernel logs nothing of it; clients time out.");
}

static void advise_addresses(const struct lp_judging *judging, const struct lp_subject *subject,
                             struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	const struct lp_advice *kube = lp_advice_find("kube-proxy");
	char translated[LP_ADDRESS_TEXT];
	struct lp_remedy *remedy = lp_remedy_add(finding, "Translate to a second address");
	lp_remedy_step(remedy,
	               "Give the machine another outside address, and have the rule use both: "
	               "snat to ADDRESS-ADDRESS, beside %s.",
	               lp_address_text(&limit->nat->key.translated, translated));
	if (kube && lp_machine_runs(judging, kube))
		lp_remedy_advice(remedy, kube, kube->translate);
	lp_remedy_change(remedy, "ports", (double)limit->capacity, 2 * (double)limit->capacity);
	lp_remedy_risk(remedy, LP_RISK_LOW, "Others see a new address and must let it in.");
	lp_remedy_relief(remedy, 2, 1);
}

static void advise_range(const struct lp_subject *subject, struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	const uint64_t all = LAST_PORT - FIRST_PORT + 1;
	if (!limit->nat->range.told || limit->capacity * 2 > all)
		return;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Let the rule use more ports");
	lp_remedy_step(remedy, "Take the port range %u-%u out of the SNAT rule, or widen it.",
	               limit->nat->range.low, limit->nat->range.high);
	lp_remedy_change(remedy, "ports", (double)limit->capacity, (double)all);
	lp_remedy_risk(remedy, LP_RISK_LOW, "Another rule or program may want the others.");
	lp_remedy_relief(remedy, (double)all, (double)limit->capacity);
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	advise_addresses(judging, subject, finding);
	advise_range(subject, finding);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Have the clients keep connections open");
	lp_remedy_step(remedy, "One connection for many requests holds one port; an open one that "
	                       "nobody uses holds it too.");
	lp_remedy_change(remedy, "ports in use", (double)limit->used, (double)limit->used / 2);
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "By how much depends on the clients: a half is a guess.");
	lp_remedy_relief(remedy, 2, 1);
}

const struct lp_rule lp_rule_snat_ports_exhausted = {
        .id = "snat-ports-exhausted",
        .title = "source NAT has no port for new connections",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_snat_ports},
        .test = test_exhausted,
        .tell = tell,
        .advise = advise,
};

const struct lp_rule lp_rule_snat_ports_near = {
        .id = "snat-ports-near",
        .title = "source NAT runs short of ports",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_snat_ports},
        .test = test_near,
        .tell = tell,
        .advise = advise,
};
