/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * short-connections: a connection for every request. The cause behind most of the others: each one
 * leaves a TIME_WAIT that holds a port for 60 s, and an entry of conntrack for 120 s. It is judged
 * of a pool, and where no single pool stands out, of the limit that all of them press.
 */

#include "finding/blame.h"
#include "finding/remedies.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* Three of four connections are over: open ones are the exception. */
static bool mostly_over(const struct lp_pool *pool)
{
	enum { PART = 4 };
	return pool->states[LP_TIME_WAIT] >= lp_pool_total(pool) / PART * (PART - 1);
}

/* TIME_WAITs of connections that were opened here. */
static uint64_t opened(const struct lp_netns *netns)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_OPENED && mostly_over(&netns->pools[i]))
			sum += netns->pools[i].states[LP_TIME_WAIT];
	return sum;
}

/* How many of what the limit counts are of these: a closed connection has its entry for longer. */
static uint64_t share(const struct lp_netns *netns, const struct lp_limit *limit)
{
	if (limit->kind == &lp_conntrack_entries)
		return netns->conntrack_time_wait_s.known
		               ? opened(netns) * netns->conntrack_time_wait_s.n / LP_TIME_WAIT_S
		               : 0;
	return opened(netns);
}

static enum lp_severity test(const struct lp_judging *judging, const struct lp_subject *subject)
{
	const struct lp_limit *limit = subject->limit;
	if (limit->kind == &lp_local_ports) {
		bool pressed =
		        lp_subject_is_near(subject) || lp_port_search_is_slow(judging, subject);
		return limit->pool && pressed && mostly_over(limit->pool) ? LP_WARNING : LP_FINE;
	}
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	bool pressed = limit->pressure >= LP_NEAR && share(netns, limit) * 2 >= limit->used;
	/* one that was lowered below the ports is pressed by whatever there is */
	bool lowered = limit->kind == &lp_time_wait_buckets &&
	               limit->capacity <= netns->range_high.n - netns->range_low.n;
	return pressed && !lowered ? LP_WARNING : LP_FINE;
}

static void tell_pool(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_blame blame = lp_blame_of_pool(judging, subject->limit->pool);
	const struct lp_pool *pool = subject->limit->pool;
	char remote[LP_ADDRESS_TEXT];
	const struct lp_real *rate = &subject->forecast->rate;
	lp_address_port_text(&pool->key.remote, pool->key.port, remote);
	if (rate->known && *blame.who)
		lp_finding_summary(finding,
		                   "%s opens %s connections a second to %s, and closes them.",
		                   blame.who, TEXT_REAL(rate->n), remote);
	else if (rate->known)
		lp_finding_summary(finding,
		                   "%s connections a second are opened to %s, used and closed.",
		                   TEXT_REAL(rate->n), remote);
	else
		lp_finding_summary(finding, "Connections to %s are opened, used and closed.",
		                   remote);
	lp_finding_cause(finding, "A connection for every request or two: each keeps its port for "
	                          "60 s after its end (TIME_WAIT).");
	lp_finding_evidence(finding, "%s of the %s connections to it are in TIME_WAIT.",
	                    TEXT_COUNT(pool->states[LP_TIME_WAIT]),
	                    TEXT_COUNT(lp_pool_total(pool)));
}

static double opens(const struct lp_netns *netns)
{
	return (double)opened(netns) / LP_TIME_WAIT_S;
}

static void tell(const struct lp_judging *judging, const struct lp_subject *subject,
                 struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	if (subject->limit->kind == &lp_local_ports) {
		tell_pool(judging, subject, finding);
		return;
	}
	lp_finding_summary(finding,
	                   "About %s connections a second are opened here, used and closed.",
	                   TEXT_REAL(opens(netns)));
	lp_finding_cause(finding, "A connection for every request or two: each leaves a TIME_WAIT "
	                          "for 60 s, and an entry of conntrack for longer.");
	lp_finding_evidence(finding, "%s TIME_WAITs are of connections opened here.",
	                    TEXT_COUNT(opened(netns)));
}

static void advise_all(const struct lp_judging *judging, const struct lp_subject *subject,
                       struct lp_finding *finding)
{
	enum { REQUESTS = 100 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_limit *limit = subject->limit;
	double used = (double)limit->used, theirs = (double)share(netns, limit);
	double rest = used > theirs ? used - theirs : 0;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Keep connections open and reuse them");
	lp_remedy_reuse_steps(judging, subject, remedy, REQUESTS);
	lp_remedy_change(remedy, "opens/s", opens(netns), opens(netns) / REQUESTS);
	lp_remedy_change(remedy, limit->kind->label, used, rest + theirs / REQUESTS);
	lp_remedy_relief(remedy, used, rest + theirs / REQUESTS);
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	if (subject->limit->kind == &lp_local_ports)
		lp_remedies_of_pool(judging, subject, finding);
	else
		advise_all(judging, subject, finding);
}

/* Whether half of the namespace's TIME_WAITs are of this pool. */
static bool stands_out(const struct lp_netns *netns, const struct lp_limit *limit)
{
	return limit->pool && netns->time_wait.known &&
	       limit->pool->states[LP_TIME_WAIT] * UINT64_C(2) >= netns->time_wait.n;
}

static bool explains(const struct lp_judging *judging, const struct lp_finding *cause,
                     const struct lp_finding *symptom)
{
	const struct lp_limit *of = lp_finding_limit(judging, cause);
	const struct lp_limit *pressed = lp_finding_limit(judging, symptom);
	bool same_rule = symptom->rule == cause->rule;
	if (!pressed || (!symptom->rule->symptom && !same_rule))
		return false;
	if (of == pressed)
		return !same_rule;
	if ((pressed->kind != &lp_conntrack_entries && pressed->kind != &lp_time_wait_buckets) ||
	    cause->netns != symptom->netns)
		return false;
	if (same_rule && of->kind != &lp_local_ports)
		return true; /* the same connections, pressing something else too */
	return stands_out(&judging->facts->snapshot->netns[cause->netns], of);
}

const struct lp_rule lp_rule_short_connections = {
        .id = "short-connections",
        .title = "a connection is opened for every request",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports, &lp_conntrack_entries, &lp_time_wait_buckets},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .test = test,
        .tell = tell,
        .advise = advise,
        .explains = explains,
};
