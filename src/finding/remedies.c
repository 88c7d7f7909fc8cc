/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/remedies.h"

#include <stdio.h>

#include "finding/blame.h"
#include "limit/kinds.h"

/* What a remedy works on: a pool as it is now. */
static bool outlook(const struct lp_judging *judging, const struct lp_subject *subject,
                    struct lp_outlook *ret)
{
	return lp_outlook_now(judging->facts->snapshot, subject->limit, subject->forecast, ret);
}

static double pressure(const struct lp_outlook *outlook)
{
	return outlook->capacity > 0 ? outlook->used / outlook->capacity : 1;
}

static void tell_relief(struct lp_remedy *remedy, const struct lp_outlook *now,
                        const struct lp_outlook *then)
{
	lp_remedy_relief(remedy, pressure(now), pressure(then));
}

void lp_remedy_reuse_steps(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_remedy *remedy, unsigned requests)
{
	const struct lp_pool *pool =
	        subject->limit->kind == &lp_local_ports ? subject->limit->pool : NULL;
	const struct lp_advice *client = pool ? lp_blame_of_pool(judging, pool).advice : NULL;
	const struct lp_advice *service = pool ? lp_advice_for_port(pool->key.port) : NULL;
	for (size_t i = 0; client && i < LP_ADVICE_STEPS && client->reuse[i]; i++)
		lp_remedy_advice(remedy, client, client->reuse[i]);
	for (size_t i = 0; service && i < LP_ADVICE_STEPS && service->reuse[i]; i++)
		lp_remedy_step(remedy, "%s", service->reuse[i]);
	if (remedy && !remedy->steps.n)
		lp_remedy_step(remedy, "Have the program that connects keep a pool of open "
		                       "connections, and send many requests over each.");
	lp_remedy_step(remedy, "The figures are for %u requests on each connection.", requests);
	lp_remedy_documented(remedy, client && client->reuse[0] ? client : service);
	lp_remedy_risk(remedy, LP_RISK_NONE,
	               "The other end must keep idle connections open for long enough.");
}

void lp_remedy_reuse_connections(const struct lp_judging *judging, const struct lp_subject *subject,
                                 struct lp_finding *finding)
{
	enum { REQUESTS = 100 };
	struct lp_outlook now;
	if (!outlook(judging, subject, &now) || now.time_wait < now.live)
		return;
	struct lp_outlook then = lp_outlook_reuse(now, REQUESTS);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Keep connections open and reuse them");
	lp_remedy_reuse_steps(judging, subject, remedy, REQUESTS);
	lp_remedy_change(remedy, "opens/s", now.opens, then.opens);
	lp_remedy_change(remedy, "TIME_WAIT", now.time_wait, then.time_wait);
	tell_relief(remedy, &now, &then);
}

static void figures_of_more(struct lp_remedy *remedy, const struct lp_outlook *now,
                            const struct lp_outlook *then)
{
	lp_remedy_change(remedy, "ports", now->capacity, then->capacity);
	if (now->time_wait > 0)
		lp_remedy_change(remedy, "opens/s that last", now->sustainable, then->sustainable);
	tell_relief(remedy, now, then);
}

/* Where the rate is not known, what the capacity grows by is. */
static struct lp_outlook outlook_or_less(const struct lp_judging *judging,
                                         const struct lp_subject *subject)
{
	struct lp_outlook now;
	if (!outlook(judging, subject, &now))
		now = (struct lp_outlook){
		        .used = (double)subject->limit->used,
		        .capacity = (double)subject->limit->capacity,
		        .sustainable = subject->forecast->sustainable.n,
		};
	return now;
}

void lp_remedy_more_sources(const struct lp_judging *judging, const struct lp_subject *subject,
                            struct lp_finding *finding)
{
	const struct lp_pool *pool = subject->limit->pool;
	char remote[LP_ADDRESS_TEXT];
	if (!pool || subject->limit->capacity == 0)
		return;
	struct lp_outlook now = outlook_or_less(judging, subject);
	struct lp_outlook then = lp_outlook_spread(now, 2);
	struct lp_remedy *remedy =
	        lp_remedy_add(finding, "Connect from a second address, or to a second one");
	const struct lp_advice *client = lp_blame_of_pool(judging, pool).advice;
	if (client)
		lp_remedy_advice(remedy, client, client->sources);
	lp_remedy_step(remedy,
	               "Add a local address and share the connections out between both; or have "
	               "%s listen at a second address or port. Each pair has ports of its own.",
	               lp_address_port_text(&pool->key.remote, pool->key.port, remote));
	lp_remedy_step(remedy, "A program that binds to the address sets IP_BIND_ADDRESS_NO_PORT, "
	                       "or the ports are shared by all destinations.");
	figures_of_more(remedy, &now, &then);
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "Firewalls and access lists on the way must know the new address.");
}

/* ---- a wider range -------------------------------------------------------------------------- */

/* Ports below are left to services; the bounds differ in parity, as connect() wants it. */
enum { WIDE_LOW = 10240, WIDE_HIGH = 65535, NAMED = 8 };

/* Listeners that the wider range would take in. */
struct eaten {
	uint16_t ports[NAMED];
	size_t n;
};

static bool is_eaten(const struct lp_netns *netns, const struct lp_listener *listener)
{
	uint16_t port = listener->port;
	bool inside = port >= netns->range_low.n && port <= netns->range_high.n;
	return !inside && port >= WIDE_LOW && !listener->reserved;
}

static void add_eaten(struct eaten *eaten, uint16_t port)
{
	for (size_t i = 0; i < eaten->n && i < NAMED; i++)
		if (eaten->ports[i] == port)
			return;
	if (eaten->n < NAMED)
		eaten->ports[eaten->n] = port;
	eaten->n++;
}

static struct eaten eaten_of(const struct lp_netns *netns)
{
	struct eaten eaten = {0};
	for (size_t i = 0; i < netns->n_listeners; i++)
		if (is_eaten(netns, &netns->listeners[i]))
			add_eaten(&eaten, netns->listeners[i].port);
	return eaten;
}

static void reserve_eaten(struct lp_remedy *remedy, struct eaten eaten)
{
	char list[NAMED * sizeof("65535,")] = "";
	size_t length = 0;
	if (!eaten.n)
		return;
	for (size_t i = 0; i < eaten.n && i < NAMED; i++)
		length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%u",
		                           i ? "," : "", eaten.ports[i]);
	lp_remedy_step(remedy,
	               "First reserve the ports of services in it: add %s%s to "
	               "net.ipv4.ip_local_reserved_ports.",
	               list, eaten.n > NAMED ? " and the others that listen" : "");
}

static uint64_t reserved_in_wide(const struct lp_netns *netns)
{
	return netns->reserved_ports ? lp_port_count(netns->reserved_ports, WIDE_LOW, WIDE_HIGH)
	                             : 0;
}

void lp_remedy_wider_range(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	struct eaten eaten = eaten_of(netns);
	uint64_t wide = WIDE_HIGH - WIDE_LOW + 1;
	uint64_t ports = netns->range_high.n - netns->range_low.n + 1;
	uint64_t here = netns->reserved + subject->limit->capacity;
	uint64_t held = ports > here ? ports - here : 0;
	uint64_t lost = held + eaten.n + reserved_in_wide(netns);
	if (netns->range_low.n <= WIDE_LOW || wide < lost ||
	    wide - lost < subject->limit->capacity + subject->limit->capacity / 10)
		return;
	struct lp_outlook now = outlook_or_less(judging, subject);
	struct lp_outlook then = lp_outlook_capacity(now, (double)(wide - lost));
	struct lp_remedy *remedy = lp_remedy_add(finding, "Widen the range of local ports");
	reserve_eaten(remedy, eaten);
	lp_remedy_sysctl(remedy, netns, "net.ipv4.ip_local_port_range=\"%d %d\"", WIDE_LOW,
	                 WIDE_HIGH);
	figures_of_more(remedy, &now, &then);
	lp_remedy_risk(
	        remedy, LP_RISK_LOW,
	        "A service that starts later may find its port taken, unless it is reserved.");
}

/* ---- tcp_tw_reuse --------------------------------------------------------------------------- */

void lp_remedy_tw_reuse(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	struct lp_outlook now;
	if (!netns->tw_reuse.known || netns->tw_reuse.n == 1 || !netns->tw_reuse_delay_ms.known ||
	    !netns->timestamps.known || !outlook(judging, subject, &now))
		return;
	if (now.time_wait < 1)
		return; /* there is nothing to take */
	if (netns->tw_reuse.n == 2 && subject->limit->pool &&
	    lp_address_is_loopback(&subject->limit->pool->key.remote))
		return; /* it already applies to loopback */
	struct lp_outlook then =
	        lp_outlook_tw_reuse(now, (double)netns->tw_reuse_delay_ms.n / 1000);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Let connect() take TIME_WAITs again");
	if (netns->timestamps.n == 0)
		lp_remedy_sysctl(remedy, netns,
		                 "net.ipv4.tcp_timestamps=1 # without timestamps on "
		                 "both ends it does nothing");
	lp_remedy_sysctl(remedy, netns, "net.ipv4.tcp_tw_reuse=1");
	lp_remedy_change(remedy, "ports in use", now.used, then.used);
	lp_remedy_change(remedy, "opens/s that last", now.sustainable, then.sustainable);
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "An old duplicate is told from new data by its timestamp alone.");
	tell_relief(remedy, &now, &then);
}

void lp_remedies_of_pool(const struct lp_judging *judging, const struct lp_subject *subject,
                         struct lp_finding *finding)
{
	lp_remedy_reuse_connections(judging, subject, finding);
	lp_remedy_tw_reuse(judging, subject, finding);
	lp_remedy_more_sources(judging, subject, finding);
	lp_remedy_wider_range(judging, subject, finding);
}
