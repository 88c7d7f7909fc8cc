/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What becomes of TIME_WAIT in a namespace: time-wait-overflow, tw-buckets-lowered,
 * server-closes-first, tw-reuse-without-timestamps, paws-behind-snat.
 */

#include <math.h>

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* Raising tcp_max_tw_buckets: to what, and what it costs. */
static void advise_more_buckets(const struct lp_judging *judging, const struct lp_subject *subject,
                                struct lp_finding *finding)
{
	enum { LEAST = 65536, TIME_WAIT_SIZE = 256 };
	const struct lp_figure *size = &judging->facts->snapshot->machine.time_wait_size;
	uint64_t now = subject->limit->capacity;
	uint64_t then = now * 2 > LEAST ? now * 2 : LEAST;
	char bytes[LP_FIGURE_TEXT];
	struct lp_remedy *remedy = lp_remedy_add(finding, "Allow more TIME_WAITs");
	lp_remedy_sysctl(remedy, lp_subject_netns(judging, subject),
	                 "net.ipv4.tcp_max_tw_buckets=%llu", (unsigned long long)then);
	lp_remedy_change(remedy, "TIME_WAIT buckets", (double)now, (double)then);
	lp_remedy_risk(remedy, LP_RISK_LOW, "So many cost at most %s of kernel memory.",
	               lp_text_bytes(then * (size->known ? size->n : TIME_WAIT_SIZE), bytes));
	lp_remedy_relief(remedy, (double)subject->limit->pressure / LP_FULL,
	                 (double)subject->limit->used / (double)then);
}

/* ---- time-wait-overflow --------------------------------------------------------------------- */

static uint64_t overflows_now(const struct lp_netns *netns)
{
	return netns->tcp_growth.time_wait_overflow.known ? netns->tcp_growth.time_wait_overflow.n
	                                                  : 0;
}

static enum lp_severity test_overflow(const struct lp_judging *judging,
                                      const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	return subject->limit->headroom == 0 || overflows_now(netns) ? LP_WARNING : LP_FINE;
}

static void tell_overflow(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_figure *ever = &netns->tcp_counters.time_wait_overflow;
	lp_finding_summary(finding,
	                   "All %s TIME_WAITs that the namespace may keep are there, and "
	                   "more are cut short.",
	                   TEXT_COUNT(subject->limit->capacity));
	lp_finding_cause(finding, "Beyond tcp_max_tw_buckets a closed connection is forgotten at "
	                          "once, so a late segment of it may do harm to the next one.");
	if (ever->known)
		lp_finding_evidence(finding, "TCPTimeWaitOverflow is %s.", TEXT_COUNT(ever->n));
	if (overflows_now(netns))
		lp_finding_evidence(finding, "%s more in the last %s s.",
		                    TEXT_COUNT(overflows_now(netns)),
		                    TEXT_REAL(judging->facts->snapshot->apart_s));
	lp_finding_evidence(finding, "%s of %s are in use.", TEXT_COUNT(subject->limit->used),
	                    TEXT_COUNT(subject->limit->capacity));
}

const struct lp_rule lp_rule_time_wait_overflow = {
        .id = "time-wait-overflow",
        .title = "TIME_WAIT is cut short",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_time_wait_buckets},
        .symptom = true,
        .test = test_overflow,
        .tell = tell_overflow,
        .advise = advise_more_buckets,
};

/* ---- tw-buckets-lowered --------------------------------------------------------------------- */

/* Below the ports of one pool: then TIME_WAITs end early before anybody runs out of ports. */
static enum lp_severity test_lowered(const struct lp_judging *judging,
                                     const struct lp_subject *subject)
{
	enum { HALF = LP_FULL / 2 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t ports = netns->range_high.n - netns->range_low.n + 1;
	if (subject->limit->capacity >= ports || subject->limit->pressure < HALF)
		return LP_FINE;
	return subject->limit->headroom ? LP_NOTICE : LP_WARNING;
}

static void tell_lowered(const struct lp_judging *judging, const struct lp_subject *subject,
                         struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	lp_finding_summary(finding,
	                   "tcp_max_tw_buckets is %s, less than the %s ports of the range.",
	                   TEXT_COUNT(subject->limit->capacity),
	                   TEXT_COUNT(netns->range_high.n - netns->range_low.n + 1));
	lp_finding_cause(finding, "So low it hides that ports run short: TIME_WAITs are cut short "
	                          "instead, which protect new connections from old segments.");
	lp_finding_evidence(finding, "%s TIME_WAITs are there now.",
	                    TEXT_COUNT(subject->limit->used));
}

static bool explains_overflow(const struct lp_judging *judging, const struct lp_finding *cause,
                              const struct lp_finding *symptom)
{
	(void)judging;
	return symptom->rule == &lp_rule_time_wait_overflow && cause->limit == symptom->limit;
}

const struct lp_rule lp_rule_tw_buckets_lowered = {
        .id = "tw-buckets-lowered",
        .title = "tcp_max_tw_buckets is below the port range",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_time_wait_buckets},
        .needs = LP_NEED_RANGE,
        .test = test_lowered,
        .tell = tell_lowered,
        .advise = advise_more_buckets,
        .explains = explains_overflow,
};

/* ---- server-closes-first -------------------------------------------------------------------- */

/* TIME_WAITs of connections that were accepted here. */
static uint64_t accepted(const struct lp_netns *netns)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_ACCEPTED)
			sum += netns->pools[i].states[LP_TIME_WAIT];
	return sum;
}

static enum lp_severity test_server(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t theirs = accepted(netns);
	return subject->limit->pressure >= LP_NEAR && theirs && theirs * 2 >= subject->limit->used
	               ? LP_WARNING
	               : LP_FINE;
}

/* The listener that most of them belong to. */
static const struct lp_pool *busiest(const struct lp_netns *netns)
{
	const struct lp_pool *most = NULL;
	for (size_t i = 0; i < netns->n_pools; i++) {
		const struct lp_pool *pool = &netns->pools[i];
		if (pool->key.side == LP_ACCEPTED &&
		    (!most || pool->states[LP_TIME_WAIT] > most->states[LP_TIME_WAIT]))
			most = pool;
	}
	return most;
}

static void tell_server(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_pool *pool = busiest(netns);
	lp_finding_summary(finding,
	                   "Services here close connections first: %s of %s TIME_WAITs are "
	                   "theirs.",
	                   TEXT_COUNT(accepted(netns)), TEXT_COUNT(subject->limit->used));
	lp_finding_cause(finding,
	                 "Who closes first keeps the TIME_WAIT; the server has those of all "
	                 "its clients together.");
	if (pool)
		lp_finding_evidence(finding, "The service at port %u has %s from one client alone.",
		                    pool->key.port, TEXT_COUNT(pool->states[LP_TIME_WAIT]));
	lp_finding_evidence(finding, "%s of tcp_max_tw_buckets is used: %s of %s.",
	                    TEXT_PERCENT(subject->limit->pressure),
	                    TEXT_COUNT(subject->limit->used), TEXT_COUNT(subject->limit->capacity));
}

static void advise_server(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	enum { REQUESTS = 100 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	double theirs = (double)accepted(netns), used = (double)subject->limit->used;
	const struct lp_pool *pool = busiest(netns);
	const struct lp_advice *advice = pool ? lp_blame_of_pool(judging, pool).advice : NULL;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Keep clients' connections open");
	if (advice)
		lp_remedy_advice(remedy, advice, advice->serve);
	lp_remedy_step(remedy,
	               "Have the service answer many requests over each connection, and wait "
	               "longer before it closes idle ones: the figures are for %d requests.",
	               REQUESTS);
	lp_remedy_change(remedy, "TIME_WAIT", used, used - theirs + theirs / REQUESTS);
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "Idle connections take a descriptor each and about 4 kB.");
	lp_remedy_relief(remedy, used, used - theirs + theirs / REQUESTS);
	advise_more_buckets(judging, subject, finding);
}

const struct lp_rule lp_rule_server_closes_first = {
        .id = "server-closes-first",
        .title = "a service keeps the TIME_WAITs of all its clients",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_time_wait_buckets},
        .needs = LP_NEED_SOCKETS,
        .test = test_server,
        .tell = tell_server,
        .advise = advise_server,
        .explains = explains_overflow,
};

/* ---- tw-reuse-without-timestamps ------------------------------------------------------------ */

static enum lp_severity test_reuse(const struct lp_judging *judging,
                                   const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	return netns->tw_reuse.n == 1 && netns->timestamps.n == 0 ? LP_NOTICE : LP_FINE;
}

static void tell_reuse(const struct lp_judging *judging, const struct lp_subject *subject,
                       struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	lp_finding_summary(finding, "tcp_tw_reuse is on and does nothing: tcp_timestamps is off.");
	lp_finding_cause(finding, "connect() takes a TIME_WAIT again only if both ends used "
	                          "timestamps, which tell old segments from new ones.");
	lp_finding_evidence(finding, "tcp_tw_reuse is %llu, tcp_timestamps is %llu.",
	                    (unsigned long long)netns->tw_reuse.n,
	                    (unsigned long long)netns->timestamps.n);
}

static void advise_timestamps(const struct lp_judging *judging, const struct lp_subject *subject,
                              struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_figure *delay = &netns->tw_reuse_delay_ms;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Turn timestamps on");
	lp_remedy_sysctl(remedy, netns, "net.ipv4.tcp_timestamps=1");
	lp_remedy_change(remedy, "seconds that TIME_WAIT holds a port", LP_TIME_WAIT_S,
	                 delay->known ? (double)delay->n / 1000 : 1);
	lp_remedy_risk(
	        remedy, LP_RISK_NONE,
	        "Only connections opened from then on have them, if the other end does too.");
	lp_remedy_relief(remedy, LP_TIME_WAIT_S, delay->known ? (double)delay->n / 1000 : 1);
}

const struct lp_rule lp_rule_tw_reuse_without_timestamps = {
        .id = "tw-reuse-without-timestamps",
        .title = "tcp_tw_reuse is on without timestamps",
        .of = LP_RULE_OF_NETNS,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_REUSE,
        .test = test_reuse,
        .tell = tell_reuse,
        .advise = advise_timestamps,
};

/* ---- paws-behind-snat ----------------------------------------------------------------------- */

/* Rejected now, between two looks; or, of one look, so many that it is no chance. */
static enum lp_severity test_paws(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	enum { ONE_IN = 100, FEW = 10 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_tcp_counters *ever = &netns->tcp_counters;
	if (netns->tcp_growth.paws_time_wait.known)
		return netns->tcp_growth.paws_time_wait.n ? LP_WARNING : LP_FINE;
	return ever->paws_time_wait.n >= FEW &&
	                       ever->paws_time_wait.n * ONE_IN >= ever->passive_opens.n
	               ? LP_WARNING
	               : LP_FINE;
}

static void tell_paws(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_figure *growth = &netns->tcp_growth.paws_time_wait;
	lp_finding_summary(finding,
	                   "Clients are kept waiting: their SYNs meet a TIME_WAIT here with "
	                   "a newer timestamp.");
	lp_finding_cause(finding, "A NAT gives the port of one client to another, whose clock is "
	                          "behind, and PAWS takes the SYN for an old duplicate.");
	if (growth->known)
		lp_finding_evidence(finding, "PAWSTimewait grew by %s in %s s.",
		                    TEXT_COUNT(growth->n),
		                    TEXT_REAL(judging->facts->snapshot->apart_s));
	lp_finding_evidence(finding, "PAWSTimewait is %s; %s connections were accepted.",
	                    TEXT_COUNT(netns->tcp_counters.paws_time_wait.n),
	                    TEXT_COUNT(netns->tcp_counters.passive_opens.n));
	lp_finding_evidence(finding, "%s TIME_WAITs here are of connections that were accepted.",
	                    TEXT_COUNT(accepted(netns)));
}

static void advise_paws(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Let the clients close first");
	lp_remedy_step(remedy, "Then the TIME_WAIT is theirs, and none is here to be met. Keeping "
	                       "connections open helps as well.");
	lp_remedy_change(remedy, "TIME_WAIT of accepted connections", (double)accepted(netns), 0);
	lp_remedy_risk(remedy, LP_RISK_NONE, "None.");
	lp_remedy_relief(remedy, 1, 0);

	remedy = lp_remedy_add(finding, "Have clients behind the NAT use one clock");
	lp_remedy_step(remedy, "On the clients: sysctl -w net.ipv4.tcp_timestamps=2, which takes "
	                       "the random offset of each connection away.");
	lp_remedy_effect(remedy, "a later SYN has a later timestamp, if the clocks agree");
	lp_remedy_risk(remedy, LP_RISK_LOW, "Their uptime can be told from outside.");
	lp_remedy_relief(remedy, 2, 1);
}

const struct lp_rule lp_rule_paws_behind_snat = {
        .id = "paws-behind-snat",
        .title = "SYNs of clients behind a NAT are rejected by PAWS",
        .of = LP_RULE_OF_NETNS,
        .kinds = {&lp_client_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_COUNTERS,
        .test = test_paws,
        .tell = tell_paws,
        .advise = advise_paws,
};
