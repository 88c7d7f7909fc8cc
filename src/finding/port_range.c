/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How ip_local_port_range is chosen: range-overlaps-listener, range-bounds-same-parity. */

#include <stdio.h>

#include "finding/rules.h"
#include "limit/kinds.h"

/* What the kernel begins with: a listener in there may have got its port by chance. */
enum { DEFAULT_LOW = 32768, DEFAULT_HIGH = 60999 };

/* ---- range-overlaps-listener ---------------------------------------------------------------- */

static bool is_exposed(const struct lp_netns *netns, const struct lp_listener *listener)
{
	uint32_t port = listener->port;
	bool by_default = port >= DEFAULT_LOW && port <= DEFAULT_HIGH;
	return !listener->reserved && !by_default && port >= netns->range_low.n &&
	       port <= netns->range_high.n;
}

/* Whether connect() is at work in this namespace: else nobody takes the port. */
static bool opens_connections(const struct lp_netns *netns)
{
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_OPENED)
			return true;
	return false;
}

static enum lp_severity test_overlap(const struct lp_judging *judging,
                                     const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	for (size_t i = 0; i < netns->n_listeners; i++)
		if (is_exposed(netns, &netns->listeners[i]) && opens_connections(netns))
			return LP_NOTICE;
	return LP_FINE;
}

/* "8080, 9100 and others": each port once. */
static void list_ports(const struct lp_netns *netns, const char *comma, char *buf, size_t size)
{
	enum { NAMED = 8 };
	uint16_t named[NAMED];
	size_t n = 0, at = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < netns->n_listeners; i++) {
		size_t k = 0;
		if (!is_exposed(netns, &netns->listeners[i]))
			continue;
		while (k < n && named[k] != netns->listeners[i].port)
			k++;
		if (k < n)
			continue;
		if (n == NAMED) {
			(void)snprintf(buf + at, size - at, " …");
			return;
		}
		named[n++] = netns->listeners[i].port;
		at += (size_t)snprintf(buf + at, size - at, "%s%u", n > 1 ? comma : "",
		                       named[n - 1]);
	}
}

static void tell_overlap(const struct lp_judging *judging, const struct lp_subject *subject,
                         struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	char ports[96];
	list_ports(netns, ", ", ports, sizeof(ports));
	lp_finding_summary(finding,
	                   "The range of local ports takes in ports on which services listen: %s.",
	                   ports);
	lp_finding_cause(finding,
	                 "When such a service restarts, a connection may have got its port "
	                 "meanwhile, and listening fails with EADDRINUSE.");
	lp_finding_evidence(finding, "The range is %u to %u, and these ports are not reserved.",
	                    (unsigned)netns->range_low.n, (unsigned)netns->range_high.n);
}

static void advise_overlap(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	char ports[96];
	list_ports(netns, ",", ports, sizeof(ports));
	struct lp_remedy *remedy = lp_remedy_add(finding, "Reserve the ports of services");
	lp_remedy_step(remedy, "Add %s to net.ipv4.ip_local_reserved_ports, beside what is there.",
	               ports);
	lp_remedy_effect(remedy, "connect() never takes these ports");
	lp_remedy_risk(remedy, LP_RISK_NONE, "Explicit bind() may still use them.");
	lp_remedy_relief(remedy, 1, 0);
}

const struct lp_rule lp_rule_range_overlaps_listener = {
        .id = "range-overlaps-listener",
        .title = "connect() may take the port of a service",
        .of = LP_RULE_OF_NETNS,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .test = test_overlap,
        .tell = tell_overlap,
        .advise = advise_overlap,
};

/* ---- range-bounds-same-parity --------------------------------------------------------------- */

/* It costs one port, now and then: of interest only where every port counts. */
static enum lp_severity test_parity(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	return lp_range_is_odd(netns) && subject->limit->pool && lp_subject_is_near(subject)
	               ? LP_NOTICE
	               : LP_FINE;
}

static void tell_parity(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	lp_finding_summary(finding, "The bounds of the port range, %u and %u, are both %s.",
	                   (unsigned)netns->range_low.n, (unsigned)netns->range_high.n,
	                   netns->range_low.n % 2 ? "odd" : "even");
	lp_finding_cause(finding, "The kernel goes through the range in pairs and leaves out one "
	                          "port of an odd number, at random.");
	lp_finding_evidence(finding, "It logs: \"ip_local_port_range: prefer different parity for "
	                             "start/end values\".");
}

static void advise_parity(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	bool up = netns->range_high.n < LP_PORTS - 1;
	uint64_t low = up ? netns->range_low.n : netns->range_low.n + 1;
	uint64_t high = up ? netns->range_high.n + 1 : netns->range_high.n;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Make the range even in size");
	lp_remedy_sysctl(remedy, netns, "net.ipv4.ip_local_port_range=\"%u %u\"", (unsigned)low,
	                 (unsigned)high);
	lp_remedy_change(remedy, "ports", (double)subject->limit->capacity,
	                 (double)subject->limit->capacity + (up ? 1 : -1));
	lp_remedy_risk(remedy, LP_RISK_NONE, "None.");
}

const struct lp_rule lp_rule_range_bounds_same_parity = {
        .id = "range-bounds-same-parity",
        .title = "the port range has an odd size",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_local_ports},
        .needs = LP_NEED_SOCKETS | LP_NEED_RANGE,
        .once = true,
        .test = test_parity,
        .tell = tell_parity,
        .advise = advise_parity,
};
