/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The smallest changes that make a plan carry: each is tried on the formulas, none has its own. */

#include "forecast/plan_inner.h"

enum { MANY = 1000000 };

/* One thing that can be changed. */
struct knob {
	const char *name;
	uint64_t (*now)(const struct lp_plan_case *c);  /* what it is; 0: not known */
	uint64_t (*last)(const struct lp_plan_case *c); /* how far it can go */
	void (*set)(struct lp_plan_case *c, uint64_t value);
	/* Whether it is there to be changed. NULL: always. */
	bool (*applies)(const struct lp_plan_case *c);
};

static uint64_t many(const struct lp_plan_case *c)
{
	(void)c;
	return MANY;
}

static uint64_t boundless(const struct lp_plan_case *c)
{
	(void)c;
	return INT64_MAX;
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
static uint64_t last_range(const struct lp_plan_case *c)
{
	const struct lp_plan_machine *m = &c->machine;
	const uint64_t all = LP_PLAN_LAST_PORT - LP_PLAN_FIRST_PORT + 1;
	if (!m->range_low.known || !m->range_high.known)
		return all;
	uint64_t lost = m->range_high.n - m->range_low.n + 1 - m->ports.n;
	return lost < all ? all - lost : 0;
}
bool lp_plan_range_for(const struct lp_plan_machine *machine, uint64_t ports, uint32_t *low,
                       uint32_t *high)
{
	if (!machine->range_low.known || !machine->range_high.known || !machine->ports.known)
		return false;
	uint64_t first = machine->range_low.n, last = machine->range_high.n;
	uint64_t lost = last - first + 1 - machine->ports.n;
	uint64_t size = ports + lost + (ports + lost) % 2;
	uint64_t room = last >= LP_PLAN_FIRST_PORT ? last - LP_PLAN_FIRST_PORT + 1 : 0;
	*low = (uint32_t)(size <= room ? last - size + 1 : LP_PLAN_FIRST_PORT);
	*high = (uint32_t)(*low + size - 1);
	return *high <= LP_PLAN_LAST_PORT;
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

static uint64_t now_descriptors(const struct lp_plan_case *c)
{
	return c->machine.descriptors.n;
}
static void set_descriptors(struct lp_plan_case *c, uint64_t value)
{
	c->machine.descriptors.n = value;
}

static uint64_t now_files(const struct lp_plan_case *c)
{
	return c->machine.file_max.n;
}
static void set_files(struct lp_plan_case *c, uint64_t value)
{
	c->machine.file_max.n = value;
}

/* The only one that gets smaller: the search goes by how much is taken away. */
static uint64_t now_timeout(const struct lp_plan_case *c)
{
	return c->machine.conntrack_time_wait_s.n;
}
static void set_timeout(struct lp_plan_case *c, uint64_t value)
{
	c->machine.conntrack_time_wait_s.n = value;
}
static bool has_timeout(const struct lp_plan_case *c)
{
	return c->machine.conntrack_time_wait_s.known;
}

static uint64_t now_conntrack(const struct lp_plan_case *c)
{
	return c->machine.conntrack_max.n;
}
static void set_conntrack(struct lp_plan_case *c, uint64_t value)
{
	c->machine.conntrack_max.n = value;
}

static uint64_t now_backlog(const struct lp_plan_case *c)
{
	return c->machine.somaxconn.n;
}
static void set_backlog(struct lp_plan_case *c, uint64_t value)
{
	c->machine.somaxconn.n = value;
}

static uint64_t now_buckets(const struct lp_plan_case *c)
{
	return c->machine.max_tw_buckets.n;
}
static void set_buckets(struct lp_plan_case *c, uint64_t value)
{
	c->machine.max_tw_buckets.n = value;
}

static const struct knob knobs[LP_KNOBS] = {
        [LP_KNOB_REQUESTS] = {"requests", now_requests, many, set_requests, NULL},
        [LP_KNOB_NO_BIND] = {"no-bind", now_bind, last_switch, set_no_bind, binds},
        [LP_KNOB_DESTINATIONS] = {"destinations", now_destinations, many, set_destinations, NULL},
        [LP_KNOB_SOURCES] = {"sources", now_sources, many, set_sources, NULL},
        [LP_KNOB_TRANSLATED] = {"translated", now_translated, many, set_translated, translates},
        [LP_KNOB_RANGE] = {"ports", now_range, last_range, set_range, has_range},
        [LP_KNOB_REUSE] = {"tcp_tw_reuse", now_reuse, last_switch, set_reuse, may_reuse},
        [LP_KNOB_DESCRIPTORS] = {"nofile", now_descriptors, boundless, set_descriptors, NULL},
        [LP_KNOB_FILES] = {"file-max", now_files, boundless, set_files, NULL},
        [LP_KNOB_CONNTRACK_TIMEOUT] = {"nf_conntrack_tcp_timeout_time_wait", now_timeout,
                                       now_timeout, set_timeout, has_timeout},
        [LP_KNOB_CONNTRACK_MAX] = {"nf_conntrack_max", now_conntrack, boundless, set_conntrack,
                                   NULL},
        [LP_KNOB_BACKLOG] = {"somaxconn", now_backlog, boundless, set_backlog, NULL},
        [LP_KNOB_BUCKETS] = {"tcp_max_tw_buckets", now_buckets, boundless, set_buckets, NULL},
};

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
	uint64_t now = knobs[knob].now(c);
	knobs[knob].set(&after, knob == LP_KNOB_CONNTRACK_TIMEOUT ? now - steps : now + steps);
	return after;
}

/* By how few steps it carries; 0: by none. What it takes falls with every step. */
static uint64_t fewest_steps(const struct lp_plan_case *c, enum lp_plan_knob knob,
                             enum lp_plan_limit limit)
{
	uint64_t now = knobs[knob].now(c), last = knobs[knob].last(c);
	uint64_t high = knob == LP_KNOB_CONNTRACK_TIMEOUT ? now ? now - 1 : 0
	                : last > now                      ? last - now
	                                                  : 0;
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
	        .from = knobs[knob].now(c),
	        .to = knobs[knob].now(&after),
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
