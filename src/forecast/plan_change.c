/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The smallest changes that make a plan carry: each is tried on the formulas, none has its own. */

#include "forecast/plan_inner.h"

enum { MANY = 1000000 };

/* One thing that can be changed: a figure of the case, or what `now` and `set` make of it. */
struct knob {
	const char *name;
	size_t figure; /* where it is in the case, where `now` is NULL; it has no bound */
	uint64_t (*now)(const struct lp_plan_case *c);  /* what it is; 0: not known */
	uint64_t (*last)(const struct lp_plan_case *c); /* how far it can go */
	void (*set)(struct lp_plan_case *c, uint64_t value);
	/* Whether it is there to be changed. NULL: always. */
	bool (*applies)(const struct lp_plan_case *c);
	bool falls; /* it gets smaller: the search goes by how much is taken away */
};

static uint64_t many(const struct lp_plan_case *c)
{
	(void)c;
	return MANY;
}

/* As many requests take as long on one connection as they took on several. */
static uint64_t now_requests(const struct lp_plan_case *c)
{
	return (uint64_t)c->wishes.requests;
}
static void set_requests(struct lp_plan_case *c, uint64_t value)
{
	c->wishes.hold_s *= (double)value / c->wishes.requests;
	c->wishes.requests = (double)value;
}

static uint64_t now_bind(const struct lp_plan_case *c)
{
	(void)c;
	return 0;
}
static uint64_t last_switch(const struct lp_plan_case *c)
{
	(void)c;
	return 1;
}
static void set_no_bind(struct lp_plan_case *c, uint64_t value)
{
	c->wishes.bind_first = value == 0;
}
static bool binds(const struct lp_plan_case *c)
{
	return c->wishes.bind_first;
}

static uint64_t now_destinations(const struct lp_plan_case *c)
{
	return c->wishes.destinations;
}
static void set_destinations(struct lp_plan_case *c, uint64_t value)
{
	c->wishes.destinations = (uint32_t)value;
}

static uint64_t now_sources(const struct lp_plan_case *c)
{
	return c->wishes.sources;
}
static void set_sources(struct lp_plan_case *c, uint64_t value)
{
	c->wishes.sources = (uint32_t)value;
}

static uint64_t now_translated(const struct lp_plan_case *c)
{
	return c->wishes.translated;
}
static void set_translated(struct lp_plan_case *c, uint64_t value)
{
	c->wishes.translated = (uint32_t)value;
}
static bool translates(const struct lp_plan_case *c)
{
	return c->wishes.role == LP_PLAN_ROUTER;
}

/* Ports of the range that nobody reserved or holds; those stay where they are. */
static uint64_t now_range(const struct lp_plan_case *c)
{
	return c->machine.ports.n;
}

/* Ports of today's range that are lost, and not by being reserved. */
static uint64_t held(const struct lp_plan_machine *m)
{
	uint64_t there = lp_plan_not_reserved(m, m->range_low.n, m->range_high.n);
	return there > m->ports.n ? there - m->ports.n : 0;
}

static uint64_t last_range(const struct lp_plan_case *c)
{
	const struct lp_plan_machine *m = &c->machine;
	uint64_t all = lp_plan_not_reserved(m, LP_PLAN_FIRST_PORT, LP_PLAN_LAST_PORT);
	if (!m->range_low.known || !m->range_high.known)
		return all;
	return held(m) < all ? all - held(m) : 0;
}

bool lp_plan_range_for(const struct lp_plan_machine *m, uint64_t ports, uint32_t *low,
                       uint32_t *high)
{
	if (!m->range_low.known || !m->range_high.known || !m->ports.known)
		return false;
	*low = (uint32_t)(m->range_low.n > LP_PLAN_FIRST_PORT ? m->range_low.n
	                                                      : LP_PLAN_FIRST_PORT);
	*high = (uint32_t)m->range_high.n;
	if (*low > *high)
		return false;
	/* down to what ordinary users may have, then up; even in size */
	uint64_t there = lp_plan_not_reserved(m, *low, *high), wanted = ports + held(m);
	while (there < wanted || (*high - *low) % 2 == 0) {
		if (*low > LP_PLAN_FIRST_PORT)
			there += !lp_port_get(&m->reserved, --*low);
		else if (*high < LP_PLAN_LAST_PORT)
			there += !lp_port_get(&m->reserved, ++*high);
		else
			return false;
	}
	return true;
}

static void set_range(struct lp_plan_case *c, uint64_t value)
{
	c->machine.ports = lp_figure(value);
	c->machine.range_low.known = false; /* an even one is advised */
}
static bool has_range(const struct lp_plan_case *c)
{
	return c->machine.ports.known && c->wishes.role == LP_PLAN_CLIENT;
}

static uint64_t now_reuse(const struct lp_plan_case *c)
{
	(void)c;
	return 0;
}
static void set_reuse(struct lp_plan_case *c, uint64_t value)
{
	c->machine.tw_reuse = lp_figure(value);
}
static bool may_reuse(const struct lp_plan_case *c)
{
	struct lp_plan_case after = *c;
	set_reuse(&after, 1);
	return !lp_plan_reuses(c) && lp_plan_reuses(&after);
}

static bool has_timeout(const struct lp_plan_case *c)
{
	return c->machine.conntrack_time_wait_s.known;
}

#define FIGURE(name) .figure = offsetof(struct lp_plan_case, machine.name)

static const struct knob knobs[LP_KNOBS] = {
        [LP_KNOB_REQUESTS] = {"requests", .now = now_requests, .last = many, .set = set_requests},
        [LP_KNOB_NO_BIND] = {"no-bind", .now = now_bind, .last = last_switch, .set = set_no_bind,
                             .applies = binds},
        [LP_KNOB_DESTINATIONS] = {"destinations", .now = now_destinations, .last = many,
                                  .set = set_destinations},
        [LP_KNOB_SOURCES] = {"sources", .now = now_sources, .last = many, .set = set_sources},
        [LP_KNOB_TRANSLATED] = {"translated", .now = now_translated, .last = many,
                                .set = set_translated, .applies = translates},
        [LP_KNOB_RANGE] = {"ports", .now = now_range, .last = last_range, .set = set_range,
                           .applies = has_range},
        [LP_KNOB_REUSE] = {"tcp_tw_reuse", .now = now_reuse, .last = last_switch, .set = set_reuse,
                           .applies = may_reuse},
        [LP_KNOB_DESCRIPTORS] = {"nofile", FIGURE(descriptors)},
        [LP_KNOB_FILES] = {"file-max", FIGURE(file_max)},
        [LP_KNOB_CONNTRACK_TIMEOUT] = {"nf_conntrack_tcp_timeout_time_wait",
                                       FIGURE(conntrack_time_wait_s), .applies = has_timeout,
                                       .falls = true},
        [LP_KNOB_CONNTRACK_MAX] = {"nf_conntrack_max", FIGURE(conntrack_max)},
        [LP_KNOB_BACKLOG] = {"somaxconn", FIGURE(somaxconn)},
        [LP_KNOB_BUCKETS] = {"tcp_max_tw_buckets", FIGURE(max_tw_buckets)},
};

static uint64_t value_of(const struct lp_plan_case *c, const struct knob *knob)
{
	const struct lp_figure *figure = (const void *)((const char *)c + knob->figure);
	return knob->now ? knob->now(c) : figure->n;
}

static void set_value(struct lp_plan_case *c, const struct knob *knob, uint64_t value)
{
	struct lp_figure *figure = (void *)((char *)c + knob->figure);
	if (knob->set)
		knob->set(c, value);
	else
		figure->n = value;
}

const char *lp_plan_knob_name(enum lp_plan_knob knob)
{
	return knobs[knob].name;
}

/* Whether the limit carries in a case, and for bind() what then takes its place too. */
static bool carries(const struct lp_plan_case *c, enum lp_plan_limit limit)
{
	return lp_plan_need_of(c, limit).carries &&
	       (limit != LP_PLAN_BIND_PORTS || lp_plan_need_of(c, LP_PLAN_LOCAL_PORTS).carries);
}

/* The case after turning a knob by so many steps. */
static struct lp_plan_case turned(const struct lp_plan_case *c, enum lp_plan_knob knob,
                                  uint64_t steps)
{
	struct lp_plan_case after = *c;
	uint64_t now = value_of(c, &knobs[knob]);
	uint64_t value = knobs[knob].falls ? now - steps : now + steps;
	set_value(&after, &knobs[knob], value);
	return after;
}

/* How far it can be turned. */
static uint64_t most_steps(const struct lp_plan_case *c, const struct knob *knob)
{
	uint64_t now = value_of(c, knob), last = knob->last ? knob->last(c) : INT64_MAX;
	if (knob->falls)
		return now ? now - 1 : 0;
	return last > now ? last - now : 0;
}

/* By how few steps it carries; 0: by none. What it takes falls with every step. */
static uint64_t fewest_steps(const struct lp_plan_case *c, enum lp_plan_knob knob,
                             enum lp_plan_limit limit)
{
	uint64_t high = most_steps(c, &knobs[knob]);
	struct lp_plan_case most = turned(c, knob, high);
	if (high == 0 || !carries(&most, limit))
		return 0;
	uint64_t low = 0;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		struct lp_plan_case between = turned(c, knob, middle);
		*(carries(&between, limit) ? &high : &low) = middle;
	}
	return high;
}

static bool all_carry(const struct lp_plan_case *c)
{
	if (lp_plan_lacks_ports(&c->wishes, &c->machine))
		return false;
	for (int i = 0; i < LP_PLAN_TIME_WAIT; i++)
		if (!lp_plan_need_of(c, (enum lp_plan_limit)i).carries)
			return false;
	return true;
}

static void try_knob(const struct lp_plan_case *c, enum lp_plan_knob knob, enum lp_plan_limit limit,
                     struct lp_plan *plan)
{
	/* tcp_tw_reuse is no cure for too few buckets: it keeps as many TIME_WAITs as there are
	 * ports */
	if (limit == LP_PLAN_TIME_WAIT && knob == LP_KNOB_REUSE)
		return;
	if (plan->n_changes == LP_PLAN_CHANGES || (knobs[knob].applies && !knobs[knob].applies(c)))
		return;
	uint64_t steps = fewest_steps(c, knob, limit);
	if (!steps)
		return;
	struct lp_plan_case after = turned(c, knob, steps);
	plan->changes[plan->n_changes++] = (struct lp_plan_change){
	        .limit = limit,
	        .knob = knob,
	        .from = value_of(c, &knobs[knob]),
	        .to = value_of(&after, &knobs[knob]),
	        .all = all_carry(&after),
	        .highest = lp_plan_need_of(&after, limit).highest,
	};
}

void lp_plan_changes(const struct lp_plan_case *c, struct lp_plan *plan)
{
	for (int i = 0; i < LP_PLAN_LIMITS; i++) {
		enum lp_plan_limit limit = (enum lp_plan_limit)i;
		if (plan->needs[limit].carries)
			continue;
		for (int knob = 0; knob < LP_KNOBS; knob++)
			try_knob(c, (enum lp_plan_knob)knob, limit, plan);
	}
}
