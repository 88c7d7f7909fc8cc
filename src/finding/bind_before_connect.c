/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bind-before-connect: a program binds its sockets to an address, port 0, before it connects. Such
 * a port is its own on that address whatever the destination, so all destinations share one range
 * where each could have had a range of its own.
 */

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* Ports whose connections were bound before, as far as that is known; 0: none is seen. */
static uint64_t bound_ports(const struct lp_netns *netns)
{
	uint64_t sum = netns->held_by_connections;
	for (size_t i = 0; !netns->held_exact && i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_OPENED &&
		    lp_pool_looks_bound(netns, &netns->pools[i]))
			sum += netns->pools[i].late_ports;
	return sum;
}

/* So many that it is no program that binds now and then. */
static bool many_bound(const struct lp_netns *netns)
{
	enum { PART = 10 };
	return bound_ports(netns) >= lp_netns_range_ports(netns) / PART;
}

static enum lp_severity test(const struct lp_judging *judging, const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	if (subject->limit->kind != &lp_bind_ports || !lp_subject_is_near(subject) ||
	    !many_bound(netns))
		return LP_FINE;
	return subject->limit->headroom ? LP_WARNING : LP_CRITICAL;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	const struct lp_limit *limit = subject->limit;
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	char address[LP_ADDRESS_TEXT];
	lp_finding_summary(finding, "bind() to %s finds %s of %s ports free, for all destinations.",
	                   lp_address_text(&limit->bind->address, address),
	                   limit->headroom ? TEXT_COUNT(limit->headroom) : "none",
	                   TEXT_COUNT(limit->capacity));
	lp_finding_cause(finding, "A program binds its sockets to an address before connect(), and "
	                          "so all destinations share one range of ports.");
	if (netns->held_exact)
		lp_finding_evidence(finding,
		                    "%s ports are held by connections that were bound "
		                    "before connect().",
		                    TEXT_COUNT(netns->held_by_connections));
	else
		lp_finding_evidence(finding,
		                    "At least %s connections have ports that bind() gives "
		                    "first and connect() last.",
		                    TEXT_COUNT(bound_ports(netns)));
	lp_finding_evidence(finding, "bind() fails with EADDRINUSE when none is left.");
}

/* Who has most of the connections that look bound, on that address. */
static struct lp_blame blame(const struct lp_judging *judging, const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_pool *most = NULL;
	for (size_t i = 0; i < netns->n_pools; i++) {
		const struct lp_pool *pool = &netns->pools[i];
		if (pool->key.side == LP_OPENED &&
		    lp_address_equal(&pool->key.local, &subject->limit->bind->address) &&
		    (!most || pool->late_ports > most->late_ports))
			most = pool;
	}
	return most ? lp_blame_of_pool(judging, most) : (struct lp_blame){0};
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_advice *advice = blame(judging, subject).advice;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Bind to the address without a port");
	if (advice)
		lp_remedy_advice(remedy, advice, advice->no_port);
	lp_remedy_step(remedy, "Have the program set IP_BIND_ADDRESS_NO_PORT before bind(): then "
	                       "connect() chooses the port, for each destination anew.");
	lp_remedy_change(remedy, "ports in use by bind()", (double)subject->limit->used, 0);
	lp_remedy_change(remedy, "ports for each destination", (double)subject->limit->headroom,
	                 lp_netns_range_ports(netns));
	lp_remedy_risk(remedy, LP_RISK_NONE,
	               "The program can't ask for its port before it is connected.");
	lp_remedy_relief(remedy, 1, 0);
}

/* What the ports so held leave for a destination. */
static bool explains(const struct lp_judging *judging, const struct lp_finding *cause,
                     const struct lp_finding *symptom)
{
	const struct lp_limit *limit = lp_finding_limit(judging, symptom);
	return symptom->rule->symptom && limit && limit->kind == &lp_local_ports &&
	       cause->netns == symptom->netns;
}

const struct lp_rule lp_rule_bind_before_connect = {
        .id = "bind-before-connect",
        .title = "sockets are bound to an address before connect()",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_bind_ports, &lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .test = test,
        .tell = tell,
        .advise = advise,
        .explains = explains,
};
