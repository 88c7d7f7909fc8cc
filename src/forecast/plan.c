/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/plan_inner.h"

#include <math.h>

#include "forecast/search.h"
#include "forecast/timer.h"

enum {
	CLIENT_PORTS = 64512, /* of a client that may not use ports below 1024 */
	CONNTRACK_CLOSING =
	        120,            /* s: nf_conntrack_tcp_timeout_time_wait where it was not changed */
	DEFAULT_TICK_US = 4000, /* 250 Hz: what most distributions build */
};

/* Bytes where the machine does not tell: measured on Linux 6.18, docs/formulas.md. */
enum { TIME_WAIT_SIZE = 256, BIND_BUCKET_SIZE = 128, CONNECTION_SIZE = 3900, ENTRY_SIZE = 291 };

const char *lp_plan_limit_name(enum lp_plan_limit limit)
{
	static const char *const names[LP_PLAN_LIMITS] = {
	        [LP_PLAN_LOCAL_PORTS] = "local-ports",      [LP_PLAN_BIND_PORTS] = "bind-ports",
	        [LP_PLAN_CLIENT_PORTS] = "client-ports",    [LP_PLAN_SNAT_PORTS] = "snat-ports",
	        [LP_PLAN_DESCRIPTORS] = "file-descriptors", [LP_PLAN_FILES] = "file-descriptors",
	        [LP_PLAN_CONNTRACK] = "conntrack-entries",  [LP_PLAN_ACCEPT_QUEUE] = "accept-queue",
	        [LP_PLAN_TIME_WAIT] = "time-wait-buckets",
	};
	return names[limit];
}

/* ---- times --------------------------------------------------------------------------------- */

/* time_wait_s: what its timer says, and by how much that may be late. */
static double time_wait_s(const struct lp_plan_machine *machine)
{
	struct lp_figure tick =
	        machine->tick_us.known ? machine->tick_us : lp_figure(DEFAULT_TICK_US);
	return LP_TIME_WAIT_S + lp_timer_late_s(tick, LP_TIME_WAIT_S);
}

bool lp_plan_reuses(const struct lp_plan_case *c)
{
	const struct lp_plan_machine *m = &c->machine;
	if (!m->tw_reuse.known || !m->tw_reuse_delay_ms.known || c->wishes.bind_first)
		return false;
	if (m->timestamps.known && m->timestamps.n == 0)
		return false;
	return m->tw_reuse.n == 1 || (m->tw_reuse.n == 2 && c->wishes.loopback);
}

/* Whether TIME_WAIT stays on this machine, which is one of the two ends. */
static bool keeps_time_wait(const struct lp_plan_wishes *w)
{
	if (w->role == LP_PLAN_ROUTER)
		return false;
	return w->closer == LP_CLOSER_BOTH ||
	       w->closer == (w->role == LP_PLAN_CLIENT ? LP_CLOSER_CLIENT : LP_CLOSER_SERVER);
}

/* port_stays_s: how long after close() a client's port is not to be had again. */
static double port_stays_s(const struct lp_plan_case *c)
{
	if (!keeps_time_wait(&c->wishes))
		return 0;
	double whole = time_wait_s(&c->machine);
	if (!lp_plan_reuses(c))
		return whole;
	return fmin(whole, (double)c->machine.tw_reuse_delay_ms.n / 1000);
}

/* ---- what is needed at `opens` connections a second ------------------------------------------ */

static uint64_t pools_of(const struct lp_plan_wishes *w, enum lp_plan_limit limit)
{
	switch (limit) {
	case LP_PLAN_LOCAL_PORTS:
	case LP_PLAN_CLIENT_PORTS:
		return (uint64_t)w->sources * w->destinations;
	case LP_PLAN_BIND_PORTS:
		return w->sources;
	case LP_PLAN_SNAT_PORTS:
		return (uint64_t)w->translated * w->destinations;
	default:
		return 1;
	}
}

/* live: how many are open at a time. */
static double live(const struct lp_plan_case *c, double opens)
{
	return opens * c->wishes.hold_s;
}

static double buckets_free(const struct lp_plan_machine *m)
{
	if (!m->max_tw_buckets.known)
		return INFINITY;
	uint64_t now = m->time_wait.known ? m->time_wait.n : 0;
	return m->max_tw_buckets.n > now ? (double)(m->max_tw_buckets.n - now) : 0;
}

/* The ports that the whole plan may use, each once a pool. */
static double all_ports(const struct lp_plan_case *c)
{
	enum lp_plan_limit limit = c->wishes.bind_first ? LP_PLAN_BIND_PORTS : LP_PLAN_LOCAL_PORTS;
	return c->machine.ports.known
	               ? (double)c->machine.ports.n * (double)pools_of(&c->wishes, limit)
	               : INFINITY;
}

/* time_wait: how many there would be if none were cut short. */
static double time_wait(const struct lp_plan_case *c, double opens)
{
	if (!keeps_time_wait(&c->wishes))
		return 0;
	double made = opens * time_wait_s(&c->machine);
	if (c->wishes.role == LP_PLAN_CLIENT && lp_plan_reuses(c))
		return fmin(made,
		            all_ports(c)); /* each holds a port, and is taken again for the next */
	return made;
}

/* A client's ports, all pools together. TIME_WAIT that is cut short holds none. */
static double ports(const struct lp_plan_case *c, double opens)
{
	double closed = opens * port_stays_s(c);
	return live(c, opens) + fmin(closed, buckets_free(&c->machine));
}

/*
 * sweep_s: entries that have run out stay until the sweep finds them. gc_worker() of
 * net/netfilter/nf_conntrack_core.c starts when the mean time left is over, as if there were 100
 * more entries with 60 s left; 1 to 60 s apart.
 */
static double sweep_s(const struct lp_plan_case *c, double opens, double closing_s)
{
	enum { PRETENDED = 100, LONGEST_S = 60, COUNTED_AS_S = 300 };
	double held = live(c, opens), closing = opens * closing_s;
	double left = held * COUNTED_AS_S + closing * fmin(fmax(closing_s / 2, 1), COUNTED_AS_S);
	double mean = (PRETENDED * LONGEST_S + left) / (PRETENDED + held + closing);
	return fmin(fmax(mean, 1), LONGEST_S);
}

/* Ports that the connections' tuples are made with, each once a pool. */
static double tuples(const struct lp_plan_case *c)
{
	const struct lp_plan_wishes *w = &c->wishes;
	if (w->role == LP_PLAN_ROUTER)
		return ((double)w->nat_high - w->nat_low + 1) *
		       (double)pools_of(w, LP_PLAN_SNAT_PORTS);
	bool told = w->role == LP_PLAN_CLIENT && c->machine.ports.known;
	return (told ? (double)c->machine.ports.n : CLIENT_PORTS) *
	       (double)pools_of(w, LP_PLAN_CLIENT_PORTS);
}

/* Of a process in which each goes with the chance `rate` a second: of those up to `age` seconds. */
static double left_over(double made, double rate, double age)
{
	return rate * age < 1e-9 ? made * age : made / rate * (1 - exp(-rate * age));
}

/*
 * entries: of conntrack, those that wait to be swept included. A tuple that is used again takes its
 * old entry's place: not while TCP keeps it (free_again_s), and then by chance. What has run out is
 * found by lookups too.
 */
static double entries(const struct lp_plan_case *c, double opens)
{
	enum { LOOKUPS = 4 }; /* two buckets a connection, and each entry stands in two */
	const struct lp_plan_machine *m = &c->machine;
	bool router = c->wishes.role == LP_PLAN_ROUTER;
	double closing = m->conntrack_time_wait_s.known ? (double)m->conntrack_time_wait_s.n
	                                                : CONNTRACK_CLOSING;
	double alive_s = c->wishes.hold_s + closing;
	double free_again_s = router ? alive_s : fmin(alive_s, c->wishes.hold_s + port_stays_s(c));
	double kept = opens * free_again_s, all = tuples(c), fresh = opens;
	if (kept >= all)
		return fmax(live(c, opens), all);
	/* connect() takes ports of one parity first, and of the other only when those are kept */
	if (c->wishes.role == LP_PLAN_CLIENT && kept < all / 2)
		all /= 2;
	else if (c->wishes.role == LP_PLAN_CLIENT)
		fresh *= (kept - all / 2) / kept;
	double taken = fresh / (all - kept);
	double found = m->conntrack_buckets.known && m->conntrack_buckets.n
	                       ? LOOKUPS * opens / (double)m->conntrack_buckets.n
	                       : 0;
	double closed = left_over(fresh, taken, alive_s - free_again_s);
	double out = fresh * exp(-taken * (alive_s - free_again_s));
	return kept + closed + left_over(out, taken + found, sweep_s(c, opens, closing));
}

static bool is_tracked(const struct lp_plan_case *c)
{
	return c->wishes.role == LP_PLAN_ROUTER || c->machine.tracks;
}

/* Of all pools together. */
static double needed(const struct lp_plan_case *c, enum lp_plan_limit limit, double opens)
{
	switch (limit) {
	case LP_PLAN_LOCAL_PORTS:
	case LP_PLAN_BIND_PORTS:
		return ports(c, opens);
	case LP_PLAN_CLIENT_PORTS: /* a SYN replaces TIME_WAIT */
	case LP_PLAN_SNAT_PORTS:   /* a new flow replaces what conntrack has in TIME_WAIT */
	case LP_PLAN_DESCRIPTORS:
	case LP_PLAN_FILES:
		return live(c, opens);
	case LP_PLAN_CONNTRACK:
		return entries(c, opens);
	case LP_PLAN_ACCEPT_QUEUE:
		return (double)c->wishes.burst.n;
	default:
		return time_wait(c, opens);
	}
}

/* ---- what there is --------------------------------------------------------------------------- */

/*
 * How many of a SNAT range may be live while fewer than 1 in 10,000 SYNs are dropped: the kernel
 * tries some ports only, and takes one in conntrack's TIME_WAIT in the last 32 tries of a round, if
 * the new sequence number is above the old one. nf_nat_l4proto_unique_tuple(), played through:
 * tests/played.h. Of fewer than 24 ports, more than that are dropped with two live already.
 */
static double snat_safe(double size)
{
	static const struct {
		double size, part;
	} played[] = {{23, 0},       {32, 0.25},    {128, 0.36},   {200, 0.68},  {1000, 0.75},
	              {10000, 0.78}, {30000, 0.74}, {60000, 0.65}, {65535, 0.78}};
	size_t i = 0;
	while (size > played[i].size)
		i++;
	return fmax(1, floor(size * played[i].part));
}

/* A range of odd size may lose one port: limit.h, LP_ASSUME_ODD_RANGE. */
static double ports_to_rely_on(const struct lp_plan_machine *m)
{
	bool odd = m->range_low.known && m->range_high.known &&
	           (m->range_high.n - m->range_low.n) % 2 == 0;
	return m->ports.n > 1 && odd ? (double)m->ports.n - 1 : (double)m->ports.n;
}

static struct lp_real left_of(struct lp_figure most, struct lp_figure now)
{
	if (!most.known)
		return (struct lp_real){0};
	uint64_t used = now.known ? now.n : 0;
	return lp_real(most.n > used ? (double)(most.n - used) : 0);
}

/* In each pool, now. Not known: not in the way of this plan, or the machine does not tell. */
static struct lp_real has(const struct lp_plan_case *c, enum lp_plan_limit limit)
{
	static const struct lp_real none;
	static const struct lp_figure nothing;
	const struct lp_plan_wishes *w = &c->wishes;
	const struct lp_plan_machine *m = &c->machine;
	bool client = w->role == LP_PLAN_CLIENT, server = w->role == LP_PLAN_SERVER;
	double nat = (double)w->nat_high - w->nat_low + 1;
	switch (limit) {
	case LP_PLAN_LOCAL_PORTS:
	case LP_PLAN_BIND_PORTS:
		return client && m->ports.known && w->bind_first == (limit == LP_PLAN_BIND_PORTS)
		               ? lp_real(ports_to_rely_on(m))
		               : none;
	case LP_PLAN_CLIENT_PORTS:
		return server ? lp_real(CLIENT_PORTS) : none;
	case LP_PLAN_SNAT_PORTS:
		return client || server ? none : lp_real(snat_safe(nat));
	case LP_PLAN_DESCRIPTORS:
		return client || server ? left_of(m->descriptors, nothing) : none;
	case LP_PLAN_FILES:
		return client || server ? left_of(m->file_max, m->files) : none;
	case LP_PLAN_CONNTRACK:
		return is_tracked(c) ? left_of(m->conntrack_max, m->conntrack_entries) : none;
	case LP_PLAN_ACCEPT_QUEUE:
		return server && w->burst.known && m->somaxconn.known
		               ? lp_real((double)m->somaxconn.n + 1)
		               : none;
	default:
		return keeps_time_wait(w) ? left_of(m->max_tw_buckets, m->time_wait) : none;
	}
}

/* ---- both ------------------------------------------------------------------------------------ */

/* The rate at which `needed` reaches what there is; it never falls with the rate. */
static double highest(const struct lp_plan_case *c, enum lp_plan_limit limit, double there)
{
	enum { STEPS = 100 };
	double low = 0, high = 1;
	if (needed(c, limit, 0) > there)
		return 0;
	while (needed(c, limit, high) <= there) {
		low = high;
		high *= 2;
		if (high > 1e12)
			return INFINITY;
	}
	for (int i = 0; i < STEPS; i++) {
		double middle = low + (high - low) / 2;
		*(needed(c, limit, middle) <= there ? &low : &high) = middle;
	}
	return low;
}

/* More than this is as good as no limit. */
static const double MOST = 1e18;

static uint64_t whole(double n)
{
	return (uint64_t)fmin(ceil(n - 1e-6), MOST);
}

struct lp_plan_need lp_plan_need_of(const struct lp_plan_case *c, enum lp_plan_limit limit)
{
	struct lp_real there = has(c, limit);
	struct lp_plan_need need = {
	        .pools = pools_of(&c->wishes, limit), .carries = true, .highest = INFINITY};
	if (!there.known)
		return need;
	need.judged = true;
	need.has = (uint64_t)fmin(there.n, MOST);
	if (limit != LP_PLAN_ACCEPT_QUEUE) /* overflows by a burst, not by a rate */
		need.highest = highest(c, limit, there.n * (double)need.pools);
	if (c->wishes.rate.known || limit == LP_PLAN_ACCEPT_QUEUE) {
		double opens = c->wishes.rate.n / c->wishes.requests;
		need.needed = whole(needed(c, limit, opens) / (double)need.pools);
		need.carries = need.needed <= need.has;
	}
	return need;
}

static bool refuses(enum lp_plan_limit limit)
{
	return limit != LP_PLAN_TIME_WAIT;
}

static void judge(const struct lp_plan_case *c, struct lp_plan *plan)
{
	plan->carries = true;
	plan->first = LP_PLAN_LIMITS;
	plan->highest = INFINITY;
	for (int i = 0; i < LP_PLAN_LIMITS; i++) {
		enum lp_plan_limit limit = (enum lp_plan_limit)i;
		struct lp_plan_need *need = &plan->needs[i];
		*need = lp_plan_need_of(c, limit);
		if (!refuses(limit))
			continue;
		plan->carries = plan->carries && need->carries;
		if (need->judged && need->highest < plan->highest) {
			plan->highest = need->highest;
			plan->first = limit;
		}
	}
	plan->unknown = plan->carries && lp_plan_lacks_ports(&c->wishes, &c->machine);
	if (!plan->needs[LP_PLAN_ACCEPT_QUEUE].carries &&
	    (plan->first == LP_PLAN_LIMITS || plan->needs[plan->first].carries))
		plan->first = LP_PLAN_ACCEPT_QUEUE;
}

/* search_us */
static double search_us(const struct lp_plan_case *c, const struct lp_plan *plan)
{
	enum lp_plan_limit limit = c->wishes.bind_first ? LP_PLAN_BIND_PORTS : LP_PLAN_LOCAL_PORTS;
	const struct lp_plan_need *need = &plan->needs[limit];
	double pools = (double)need->pools, held = ports(c, plan->opens) - plan->live;
	return need->judged ? lp_search_us((double)need->has, held / pools, plan->live / pools) : 0;
}

static double memory(const struct lp_plan_case *c, const struct lp_plan *plan)
{
	const struct lp_plan_machine *m = &c->machine;
	double small = m->time_wait_size.known ? (double)m->time_wait_size.n : TIME_WAIT_SIZE;
	double bucket =
	        m->bind_bucket_size.known ? (double)m->bind_bucket_size.n : BIND_BUCKET_SIZE;
	double buckets = 0;
	if (c->wishes.role == LP_PLAN_ROUTER)
		return plan->entries * ENTRY_SIZE;
	/* a port has two, by port and by address: shared by all destinations, and a listener's by
	 * all of its connections */
	if (c->wishes.role == LP_PLAN_CLIENT)
		buckets = fmin(plan->time_wait + plan->live,
		               m->ports.known ? (double)m->ports.n * c->wishes.sources : INFINITY);
	return plan->time_wait * small + 2 * buckets * bucket + plan->live * CONNECTION_SIZE +
	       plan->entries * ENTRY_SIZE;
}

static void describe(const struct lp_plan_case *c, struct lp_plan *plan)
{
	const struct lp_plan_need *buckets = &plan->needs[LP_PLAN_TIME_WAIT];
	double uncut = time_wait(c, plan->opens);
	plan->cut_short = buckets->judged && uncut > (double)buckets->has;
	plan->time_wait = plan->cut_short ? (double)buckets->has : uncut;
	plan->live = live(c, plan->opens);
	plan->entries = is_tracked(c) ? entries(c, plan->opens) : 0;
	plan->port_stays_s = port_stays_s(c);
	plan->search_us = search_us(c, plan);
	plan->memory = fmin(memory(c, plan), MOST);
	if (!plan->carries && plan->first != LP_PLAN_ACCEPT_QUEUE)
		plan->full_in_s = (double)plan->needs[plan->first].has *
		                  (double)plan->needs[plan->first].pools / plan->opens;
}

void lp_plan_make(const struct lp_plan_wishes *wishes, const struct lp_plan_machine *machine,
                  struct lp_plan *ret)
{
	const struct lp_plan_case c = {.wishes = *wishes, .machine = *machine};
	*ret = (struct lp_plan){.wishes = *wishes, .machine = *machine, .full_in_s = INFINITY};
	judge(&c, ret);
	ret->opens = wishes->rate.known ? wishes->rate.n / wishes->requests : ret->highest;
	if (isfinite(ret->opens))
		describe(&c, ret);
	lp_plan_changes(&c, ret);
}
