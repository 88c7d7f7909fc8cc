/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients of a service here meet: accept-queue-overflow, client-ports-near. */

#include <stdio.h>

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* ---- accept-queue-overflow ------------------------------------------------------------------ */

static uint64_t overflows_now(const struct lp_netns *netns)
{
	return netns->tcp_growth.listen_overflow.known ? netns->tcp_growth.listen_overflow.n : 0;
}

/* The kernel counts overflows for all listeners of a namespace: the fullest one is to blame. */
static bool is_fullest(const struct lp_judging *judging, const struct lp_subject *subject)
{
	const struct lp_limits *limits = judging->facts->limits;
	for (size_t i = 0; i < subject->index; i++)
		if (limits->items[i].kind == &lp_accept_queue &&
		    limits->items[i].netns == subject->netns)
			return false;
	return true;
}

static enum lp_severity test_queue(const struct lp_judging *judging,
                                   const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	if (subject->limit->headroom == 0)
		return LP_CRITICAL;
	return overflows_now(netns) && is_fullest(judging, subject) ? LP_WARNING : LP_FINE;
}

static void tell_queue(const struct lp_judging *judging, const struct lp_subject *subject,
                       struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_listener *listener = subject->limit->listener;
	const struct lp_figure *ever = &netns->tcp_counters.listen_overflow;
	char address[LP_ADDRESS_TEXT];
	lp_address_port_text(&listener->address, listener->port, address);
	if (subject->limit->headroom)
		lp_finding_summary(finding,
		                   "The accept queue of %s overflows at times: clients wait.",
		                   address);
	else
		lp_finding_summary(finding,
		                   "The accept queue of %s is full: new connections are dropped "
		                   "without a word.",
		                   address);
	lp_finding_cause(finding, "The service does not accept() as fast as connections arrive.");
	lp_finding_evidence(finding, "%s connections wait, %s may.",
	                    TEXT_COUNT(subject->limit->used), TEXT_COUNT(subject->limit->capacity));
	if (overflows_now(netns))
		lp_finding_evidence(finding, "ListenOverflows grew by %s in %s s.",
		                    TEXT_COUNT(overflows_now(netns)),
		                    TEXT_REAL(judging->facts->snapshot->apart_s));
	else if (ever->known && ever->n)
		lp_finding_evidence(finding, "ListenOverflows of the namespace is %s.",
		                    TEXT_COUNT(ever->n));
}

static void advise_queue(const struct lp_judging *judging, const struct lp_subject *subject,
                         struct lp_finding *finding)
{
	enum { ENOUGH = 4096 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t backlog = subject->limit->capacity - 1;
	uint64_t then = backlog * 2 > ENOUGH ? backlog * 2 : ENOUGH;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Accept faster");
	lp_remedy_step(remedy, "See why the service is busy or stuck: more workers, or more CPU. A "
	                       "longer queue only helps against bursts.");
	lp_remedy_effect(remedy, "the queue stays empty");
	lp_remedy_risk(remedy, LP_RISK_NONE, "None.");
	lp_remedy_relief(remedy, 1, 0);

	const struct lp_advice *advice =
	        lp_blame_of_listener(judging, subject->netns, subject->limit->listener->port)
	                .advice;
	remedy = lp_remedy_add(finding, "Let more connections wait");
	if (advice)
		lp_remedy_advice(remedy, advice, advice->backlog);
	lp_remedy_step(remedy, "Have the service call listen() with a backlog of %llu.",
	               (unsigned long long)then);
	if (netns->somaxconn.known && netns->somaxconn.n < then)
		lp_remedy_sysctl(remedy, netns, "net.core.somaxconn=%llu # which caps it",
		                 (unsigned long long)then);
	lp_remedy_change(remedy, "connections that may wait", (double)backlog + 1,
	                 (double)then + 1);
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "Clients wait longer before they notice that the service is stuck.");
	lp_remedy_relief(remedy, 1, (double)backlog / (double)then);
}

const struct lp_rule lp_rule_accept_queue_overflow = {
        .id = "accept-queue-overflow",
        .title = "connections are dropped at a full accept queue",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_accept_queue},
        .needs = LP_NEED_SOCKETS,
        .test = test_queue,
        .tell = tell_queue,
        .advise = advise_queue,
};

/* ---- client-ports-near ---------------------------------------------------------------------- */

static enum lp_severity test_client(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	(void)judging;
	if (subject->limit->pressure < LP_NEAR)
		return LP_FINE;
	return subject->limit->headroom ? LP_WARNING : LP_CRITICAL;
}

static void tell_client(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	(void)judging;
	const struct lp_limit *limit = subject->limit;
	char client[LP_ADDRESS_TEXT], listener[LP_ADDRESS_TEXT];
	lp_address_text(&limit->pool->key.remote, client);
	lp_address_port_text(&limit->pool->key.local, limit->pool->key.port, listener);
	lp_finding_summary(finding, "The client %s has %s of its %s ports in use at %s.", client,
	                   TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity), listener);
	lp_finding_cause(finding, "One address can have each of its ports only once at this "
	                          "service: beyond that it can't connect, and the fault looks "
	                          "like ours.");
	lp_finding_evidence(finding, "%s of them are established.",
	                    TEXT_COUNT(limit->pool->states[LP_ESTABLISHED]));
	if (limit->pool->states[LP_TIME_WAIT])
		lp_finding_evidence(finding, "%s more are in TIME_WAIT, which a new SYN replaces.",
		                    TEXT_COUNT(limit->pool->states[LP_TIME_WAIT]));
}

static void advise_client(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	(void)judging;
	const struct lp_limit *limit = subject->limit;
	char listener[LP_ADDRESS_TEXT];
	lp_address_port_text(&limit->pool->key.local, limit->pool->key.port, listener);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Listen at a second address or port");
	lp_remedy_step(remedy,
	               "Each address and port beside %s gives the client all its ports once more; "
	               "so does a second address of the client (a proxy or NAT in front of it).",
	               listener);
	lp_remedy_change(remedy, "ports of the client", (double)limit->capacity,
	                 2 * (double)limit->capacity);
	lp_remedy_risk(remedy, LP_RISK_LOW, "The client must share its connections out.");
	lp_remedy_relief(remedy, 2, 1);
}

const struct lp_rule lp_rule_client_ports_near = {
        .id = "client-ports-near",
        .title = "a client has hardly a port left at a service here",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_client_ports},
        .needs = LP_NEED_SOCKETS,
        .test = test_client,
        .tell = tell_client,
        .advise = advise_client,
};
