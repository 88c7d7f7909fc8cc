/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/plan.h"

#include <math.h>
#include <stdio.h>

#include "forecast/timer.h"
#include "unit.h"

#include "../played.h"

/* 28,232 ports, 250 Hz, nothing else in the way. */
static struct lp_plan_machine usual(void)
{
	return (struct lp_plan_machine){
	        .range_low = lp_figure(32768),
	        .range_high = lp_figure(60999),
	        .ports = lp_figure(28232),
	        .tw_reuse = lp_figure(2),
	        .tw_reuse_delay_ms = lp_figure(1000),
	        .timestamps = lp_figure(1),
	        .tick_us = lp_figure(4000),
	};
}

static struct lp_plan_wishes one(double rate)
{
	return (struct lp_plan_wishes){
	        .rate = {.n = rate, .known = rate > 0},
	        .requests = 1,
	        .sources = 1,
	        .destinations = 1,
	        .translated = 1,
	        .nat_low = 1024,
	        .nat_high = 65535,
	};
}

static struct lp_plan plan_of(const struct lp_plan_wishes *wishes,
                              const struct lp_plan_machine *machine)
{
	struct lp_plan plan;
	lp_plan_make(wishes, machine, &plan);
	return plan;
}

static void near(double a, double b)
{
	if (fabs(a - b) > fabs(b) / 1000)
		fail_msg("%f is not near %f", a, b);
}

/* LVL_GRAN of the level that the timer falls into. */
static void timers_are_late(void **state)
{
	(void)state;
	near(lp_timer_late_s(lp_figure(4000), 60), 2.048);
	near(lp_timer_late_s(lp_figure(1000), 60), 4.096);
	near(lp_timer_late_s(lp_figure(10000), 60), 5.12);
	near(lp_timer_late_s(lp_figure(1000), 0.062), 0.001);
	near(lp_timer_late_s(lp_figure(1000), 0.063), 0.008);
	assert_true(lp_timer_late_s((struct lp_figure){0}, 60) == 0);
}

static void the_client_keeps_ports(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	struct lp_plan plan = plan_of(&w, &m);
	assert_int_equal(plan.first, LP_PLAN_LOCAL_PORTS);
	near(plan.highest, 28232 / 62.048);
	w.hold_s = 10;
	near(plan_of(&w, &m).highest, 28232 / 72.048);
	w.sources = 3;
	w.destinations = 2;
	near(plan_of(&w, &m).highest, 6 * 28232 / 72.048);
	w.closer = LP_CLOSER_BOTH;
	near(plan_of(&w, &m).highest, 6 * 28232 / 72.048);
}

static void the_server_keeps_them_else(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	w.closer = LP_CLOSER_SERVER;
	w.hold_s = 2;
	near(plan_of(&w, &m).highest, 28232 / 2.0);
	w.hold_s = 0;
	struct lp_plan plan = plan_of(&w, &m);
	assert_true(isinf(plan.highest));
	assert_int_equal(plan.first, LP_PLAN_LIMITS);
}

static void an_odd_range_loses_one(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	m.range_high = lp_figure(32768 + 100);
	m.ports = lp_figure(101);
	near(plan_of(&w, &m).highest, 100 / 62.048);
}

static void reuse_shortens_it(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	m.tw_reuse = lp_figure(1);
	near(plan_of(&w, &m).highest, 28232);
	m.timestamps = lp_figure(0);
	near(plan_of(&w, &m).highest, 28232 / 62.048);
	m.timestamps = lp_figure(1);
	m.tw_reuse = lp_figure(2);
	near(plan_of(&w, &m).highest, 28232 / 62.048);
	w.loopback = true;
	near(plan_of(&w, &m).highest, 28232);
	w.bind_first = true;
	near(plan_of(&w, &m).highest, 28232 / 62.048);
}

static void bind_takes_from_all_destinations(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	w.bind_first = true;
	w.destinations = 10;
	struct lp_plan plan = plan_of(&w, &m);
	assert_int_equal(plan.first, LP_PLAN_BIND_PORTS);
	assert_false(plan.needs[LP_PLAN_LOCAL_PORTS].judged);
	near(plan.highest, 28232 / 62.048);
}

static void the_first_limit_stops_it(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(400);
	w.hold_s = 3;
	m.descriptors = lp_figure(1024);
	m.conntrack_max = lp_figure(1000000);
	m.conntrack_entries = lp_figure(400000);
	struct lp_plan plan = plan_of(&w, &m);
	assert_int_equal(plan.first, LP_PLAN_DESCRIPTORS);
	assert_false(plan.carries);
	near(plan.highest, 1024 / 3.0);
	near(plan.full_in_s, 1024 / 400.0);
	assert_true(plan.needs[LP_PLAN_LOCAL_PORTS].carries);
	assert_false(plan.needs[LP_PLAN_CONNTRACK].judged);
	m.tracks = true;
	plan = plan_of(&w, &m);
	assert_true(plan.needs[LP_PLAN_CONNTRACK].judged);
	near((double)plan.needs[LP_PLAN_CONNTRACK].has, 600000);
	/* each of the ports has an entry, and takes the old one's place */
	near((double)plan.needs[LP_PLAN_CONNTRACK].needed, 28232);
	w.destinations = 10000;
	near(plan_of(&w, &m).entries, 400.0 * (3 + 120 + 60));
}

static void buckets_cut_but_do_not_stop(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(5000);
	m.max_tw_buckets = lp_figure(10000);
	m.time_wait = lp_figure(1000);
	struct lp_plan plan = plan_of(&w, &m);
	assert_true(plan.carries);
	assert_true(plan.cut_short);
	near(plan.time_wait, 9000);
	near((double)plan.needs[LP_PLAN_LOCAL_PORTS].needed, 9000);
	assert_false(plan.needs[LP_PLAN_TIME_WAIT].carries);
}

static void a_server_and_its_clients(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(0);
	w.role = LP_PLAN_SERVER;
	w.hold_s = 10;
	w.sources = 2;
	m.somaxconn = lp_figure(4096);
	near(plan_of(&w, &m).highest, 2 * 64512 / 10.0);
	w.burst = lp_figure(4097);
	assert_true(plan_of(&w, &m).carries);
	w.burst = lp_figure(4098);
	struct lp_plan plan = plan_of(&w, &m);
	assert_false(plan.carries);
	assert_int_equal(plan.first, LP_PLAN_ACCEPT_QUEUE);
	assert_int_equal(plan.n_changes, 1);
	assert_int_equal(plan.changes[0].knob, LP_KNOB_BACKLOG);
	assert_int_equal(plan.changes[0].to, 4097);
}

static const struct lp_plan_change *change_of(const struct lp_plan *plan, enum lp_plan_limit limit,
                                              enum lp_plan_knob knob)
{
	for (size_t i = 0; i < plan->n_changes; i++)
		if (plan->changes[i].limit == limit && plan->changes[i].knob == knob)
			return &plan->changes[i];
	return NULL;
}

/* Each change is enough, and a step less is not. */
static void changes_are_the_smallest(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(1000);
	w.hold_s = 0.5;
	struct lp_plan plan = plan_of(&w, &m);
	double needed = 1000 * 62.548;
	const struct lp_plan_change *change =
	        change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_DESTINATIONS);
	assert_non_null(change);
	assert_int_equal(change->to, (uint64_t)ceil(needed / 28232));
	change = change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_RANGE);
	assert_non_null(change);
	assert_int_equal(change->to, (uint64_t)ceil(needed));
	uint32_t low, high;
	assert_true(lp_plan_range_for(&m, change->to, &low, &high));
	assert_true(low >= 1024 && high <= 65535 && high - low + 1 >= change->to);
	assert_int_equal((high - low + 1) % 2, 0);
	change = change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_REQUESTS);
	assert_non_null(change);
	assert_int_equal(change->to, (uint64_t)ceil(1000 * 62.048 / (28232 - 500)));
	change = change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_REUSE);
	assert_non_null(change);
	near(change->highest, 28232 / 1.5);
	assert_true(change->all);
	assert_null(change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_NO_BIND));
	assert_null(change_of(&plan, LP_PLAN_LOCAL_PORTS, LP_KNOB_DESCRIPTORS));
}

static void reserved_ports_stay_lost(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	uint32_t low, high;
	m.ports = lp_figure(28000);
	assert_true(lp_plan_range_for(&m, 30000, &low, &high));
	assert_int_equal(high, 60999);
	assert_int_equal(high - low + 1, 30000 + 232);
	assert_true(lp_plan_range_for(&m, 64000, &low, &high));
	assert_int_equal(low, 1024);
	assert_false(lp_plan_range_for(&m, 64400, &low, &high));
}

/* Those beside today's range, too, once it takes them in. */
static void reserved_ports_are_passed_over(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	uint32_t low, high;
	for (uint32_t port = 30000; port < 32768; port++)
		lp_port_set(&m.reserved, port);
	assert_true(lp_plan_range_for(&m, 28232 + 2000, &low, &high));
	assert_int_equal(low, 30000 - 2000);
	assert_int_equal(high, 60999);
	for (uint32_t port = 40000; port < 40100; port++)
		lp_port_set(&m.reserved, port);
	m.ports = lp_figure(28132 - 32); /* and 32 are held */
	assert_true(lp_plan_range_for(&m, 30000, &low, &high));
	assert_int_equal(low, 30000 - (30000 - 28100));
	const uint32_t all = 65536 - 1024 - 2768 - 100 - 32;
	assert_true(lp_plan_range_for(&m, all, &low, &high));
	assert_true(low == 1024 && high == 65535);
	assert_false(lp_plan_range_for(&m, all + 1, &low, &high));
}

static void a_shorter_conntrack_timeout(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(2000);
	w.role = LP_PLAN_ROUTER;
	w.destinations = 10000;
	w.hold_s = 1;
	m.conntrack_max = lp_figure(262144);
	m.conntrack_time_wait_s = lp_figure(120);
	struct lp_plan plan = plan_of(&w, &m);
	assert_int_equal(plan.first, LP_PLAN_CONNTRACK);
	const struct lp_plan_change *change =
	        change_of(&plan, LP_PLAN_CONNTRACK, LP_KNOB_CONNTRACK_TIMEOUT);
	assert_non_null(change);
	m.conntrack_time_wait_s = lp_figure(change->to);
	assert_true(plan_of(&w, &m).carries);
	m.conntrack_time_wait_s = lp_figure(change->to + 1);
	assert_false(plan_of(&w, &m).carries);
	change = change_of(&plan, LP_PLAN_CONNTRACK, LP_KNOB_CONNTRACK_MAX);
	assert_non_null(change);
	near((double)change->to, 2000 * (1 + 120 + 60));
}

/* "unlimited" is more than a double can count. */
static void without_a_limit(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(1e9);
	w.hold_s = 1e9;
	m.descriptors = lp_figure(UINT64_MAX);
	m.file_max = lp_figure(UINT64_MAX);
	struct lp_plan plan = plan_of(&w, &m);
	assert_true(plan.needs[LP_PLAN_DESCRIPTORS].judged);
	assert_int_equal(plan.needs[LP_PLAN_DESCRIPTORS].has, 1000000000000000000);
}

/* Whatever the rate, a table has no more entries than tuples, and never fewer at a higher one. */
static void entries_grow_up_to_the_tuples(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	double before = 0, rate = 1;
	m.tracks = true;
	m.conntrack_buckets = lp_figure(65536);
	while (rate < 2000) {
		struct lp_plan_wishes w = one(rate);
		struct lp_plan plan = plan_of(&w, &m);
		assert_true(plan.entries >= before && plan.entries <= 28232);
		before = plan.entries;
		rate *= 1.1;
	}
	near(before, 28232);
}

/* Lookups find entries that have run out, the more the smaller the table. */
static void lookups_sweep_too(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(1000);
	w.role = LP_PLAN_ROUTER;
	w.destinations = 10000;
	near(plan_of(&w, &m).entries, 1000 * 180);
	m.conntrack_buckets = lp_figure(400000); /* each is found with 0.01 a second */
	near(plan_of(&w, &m).entries, 1000 * (120 + (1 - exp(-0.6)) / 0.01));
}

/* Each port has one entry: what is taken again replaces it. */
static void few_ports_few_entries(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(100);
	w.role = LP_PLAN_ROUTER;
	w.nat_low = 2000;
	w.nat_high = 2999;
	w.hold_s = 1;
	struct lp_plan plan = plan_of(&w, &m);
	near(plan.entries, 1000);
	near(plan.highest, 750);
	w.translated = 2;
	near(plan_of(&w, &m).entries, 2000);
}

static void what_is_not_known_is_not_judged(void **state)
{
	(void)state;
	struct lp_plan_machine nothing = {0};
	struct lp_plan_wishes w = one(100);
	struct lp_plan plan = plan_of(&w, &nothing);
	for (int i = 0; i < LP_PLAN_LIMITS; i++)
		assert_false(plan.needs[i].judged);
	assert_true(plan.carries);
	assert_int_equal(plan.first, LP_PLAN_LIMITS);
	assert_int_equal(plan.n_changes, 0);
}

static void half_the_range_is_slow(void **state)
{
	(void)state;
	struct lp_plan_machine m = usual();
	struct lp_plan_wishes w = one(14100 / 62.048);
	assert_true(plan_of(&w, &m).search_us == 0);
	w = one(14150 / 62.048);
	near(plan_of(&w, &m).search_us, 14116 * 0.16);
}

/* At the highest rate, fewer than 1 SYN in 10,000 is dropped: with the playing's own error. */
static void source_nat_is_planned_for_what_it_carries(void **state)
{
	(void)state;
	enum { OPENS = 100000, FIRST = 1024 };
	static const unsigned sizes[] = {24,   32,    48,    64,    100,   128,   129,  200,
	                                 1000, 10000, 28232, 30000, 50000, 60000, 64512};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct lp_plan_wishes w = one(0);
		w.role = LP_PLAN_ROUTER;
		w.nat_low = FIRST;
		w.nat_high = FIRST + sizes[i] - 1;
		const struct lp_plan_machine machine = usual();
		struct lp_plan plan = plan_of(&w, &machine);
		unsigned open = (unsigned)plan.needs[LP_PLAN_SNAT_PORTS].has;
		double dropped = played_dropped(sizes[i], open, OPENS);
		printf("# %u ports, %u open: %.4f %% dropped\n", sizes[i], open, dropped * 100);
		assert_true(dropped < 1.6e-4);
	}
}

UNIT_MAIN(cmocka_unit_test(timers_are_late), cmocka_unit_test(the_client_keeps_ports),
          cmocka_unit_test(the_server_keeps_them_else), cmocka_unit_test(an_odd_range_loses_one),
          cmocka_unit_test(reuse_shortens_it), cmocka_unit_test(bind_takes_from_all_destinations),
          cmocka_unit_test(the_first_limit_stops_it), cmocka_unit_test(buckets_cut_but_do_not_stop),
          cmocka_unit_test(a_server_and_its_clients), cmocka_unit_test(changes_are_the_smallest),
          cmocka_unit_test(reserved_ports_are_passed_over),
          cmocka_unit_test(reserved_ports_stay_lost), cmocka_unit_test(a_shorter_conntrack_timeout),
          cmocka_unit_test(entries_grow_up_to_the_tuples), cmocka_unit_test(without_a_limit),
          cmocka_unit_test(lookups_sweep_too), cmocka_unit_test(few_ports_few_entries),
          cmocka_unit_test(what_is_not_known_is_not_judged),
          cmocka_unit_test(half_the_range_is_slow),
          cmocka_unit_test(source_nat_is_planned_for_what_it_carries))
