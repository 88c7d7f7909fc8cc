/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/forecast.h"

#include <math.h>

#include "limit/kinds.h"
#include "unit.h"

/* A pool of 1000 ports whose TIME_WAITs the tests fill in. */
struct scene {
	struct lp_netns netns;
	struct lp_pool pool;
	struct lp_snapshot snapshot;
	struct lp_limit limit;
};

static void set_up(struct scene *s, uint32_t capacity)
{
	*s = (struct scene){
	        .netns = {.range_low = lp_figure(10000),
	                  .range_high = lp_figure(10000 + capacity - 1),
	                  .timestamps = lp_figure(1),
	                  .tw_reuse = lp_figure(0),
	                  .tw_reuse_delay_ms = lp_figure(1000),
	                  .max_tw_buckets = lp_figure(100000),
	                  .time_wait = lp_figure(0),
	                  .sockets_read = true,
	                  .n_pools = 1},
	        .pool = {.key = {.local = unit_address("10.0.0.1"),
	                         .remote = unit_address("10.0.0.2"),
	                         .port = 80},
	                 .oldest_left_ms = 60000},
	};
	s->netns.pools = &s->pool;
	s->snapshot.netns = &s->netns;
	s->snapshot.n_netns = 1;
}

/* `n` TIME_WAITs made `age` seconds ago. */
static void add_time_wait(struct scene *s, uint32_t age, uint16_t n)
{
	uint32_t second = LP_TIME_WAIT_S - 1 - age;
	s->pool.left[second] = (uint16_t)(s->pool.left[second] + n);
	s->pool.states[LP_TIME_WAIT] = (uint16_t)(s->pool.states[LP_TIME_WAIT] + n);
	s->netns.time_wait.n += n;
	if (second * 1000 < s->pool.oldest_left_ms)
		s->pool.oldest_left_ms = (uint16_t)(second * 1000);
}

static struct lp_forecast look_at(struct scene *s, bool new_destination)
{
	struct lp_limits limits = {0};
	assert_int_equal(lp_limits_collect(&s->snapshot, &lp_local_ports, &limits), 0);
	struct lp_forecast forecast = {0};
	bool found = false;
	for (size_t i = 0; i < limits.n; i++) {
		if (!limits.items[i].pool != new_destination)
			continue;
		found = true;
		s->limit = limits.items[i];
		forecast = lp_forecast_one(&s->snapshot, &limits.items[i]);
	}
	assert_true(found);
	lp_limits_done(&limits);
	return forecast;
}

static struct lp_forecast look(struct scene *s)
{
	return look_at(s, false);
}

static struct lp_forecast look_new(struct scene *s)
{
	return look_at(s, true);
}

static void assert_near(double value, double expected)
{
	if (fabs(value - expected) > 0.01 * fmax(fabs(expected), 0.01))
		fail_msg("%g, expected %g", value, expected);
}

static void a_steady_rate_fills_the_rest(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	for (uint32_t age = 0; age < 5; age++)
		add_time_wait(&s, age, 100); /* 100/s for 5 s: 500 used */
	struct lp_forecast f = look(&s);
	assert_near(f.rate.n, 100);
	assert_near(f.rate_recent.n, 100);
	assert_near(f.sustainable.n, 1000 / 60.0);
	assert_near(f.exhausted_in_s.n, 5);
}

static void what_drains_meanwhile_makes_room(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	for (uint32_t age = 0; age < 60; age++)
		add_time_wait(&s, age, age < 10 ? 15 : 10); /* faster of late */
	struct lp_forecast f = look(&s);
	assert_near(f.rate.n, 650 / 60.0);
	assert_near(f.rate_recent.n, 15);
	/* 15/s would need 900 in the end: never */
	assert_true(f.exhausted_in_s.known && isinf(f.exhausted_in_s.n));

	set_up(&s, 800);
	for (uint32_t age = 0; age < 60; age++)
		add_time_wait(&s, age, age < 10 ? 15 : 10);
	f = look(&s);
	/* 650 used, 15 come and 10 go each second: 150 / 5 */
	assert_near(f.exhausted_in_s.n, 30);
}

static void a_burst_long_ago_is_no_rate(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	add_time_wait(&s, 30, 900);
	s.pool.oldest_left_ms = 30000;
	struct lp_forecast f = look(&s);
	assert_near(f.rate.n, 30); /* 900 in the 30 s since */
	assert_near(f.rate_recent.n, 0);
	assert_true(isinf(f.exhausted_in_s.n));
	assert_int_equal(f.n_drain, LP_DRAIN_POINTS);
	assert_int_equal(f.drain[4], 0);   /* after 25 s */
	assert_int_equal(f.drain[5], 900); /* after 30 s */
	assert_int_equal(f.drain[11], 900);
}

static void live_connections_do_not_drain(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	for (uint32_t age = 0; age < 60; age++)
		add_time_wait(&s, age, 10);
	s.pool.states[LP_ESTABLISHED] = 350;
	assert_true(isinf(look(&s).exhausted_in_s.n)); /* 600 + 350 stays below */
	s.pool.states[LP_ESTABLISHED] = 400;
	struct lp_forecast f = look(&s);
	assert_int_equal(s.limit.headroom, 0);
	assert_near(f.exhausted_in_s.n, 0);
}

static void reuse_shortens_the_stay(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 100);
	s.netns.tw_reuse = lp_figure(1);
	add_time_wait(&s, 0, 60);
	add_time_wait(&s, 1, 30);
	s.pool.aged = 30;
	struct lp_forecast f = look(&s);
	assert_int_equal(s.limit.used, 60);
	assert_int_equal(s.limit.reusable.n, 30);
	assert_near(f.sustainable.n, 100); /* 100 ports, one second each */
	assert_near(f.rate.n, 60);
	assert_true(isinf(f.exhausted_in_s.n));
	s.netns.tw_reuse_delay_ms = lp_figure(2000);
	s.pool.aged = 0;
	f = look(&s);
	assert_near(f.sustainable.n, 50);
	assert_near(f.rate.n, 45);
	/* 90 used, 45/s come; after the first second the older 30 go: full after 10/(45-30) */
	assert_near(f.exhausted_in_s.n, 10.0 / 15);
}

static void cut_short_timers_tell_no_rate(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	add_time_wait(&s, 0, 50);
	s.netns.max_tw_buckets = lp_figure(50);
	struct lp_forecast f = look(&s);
	assert_false(f.rate.known);
	assert_false(f.exhausted_in_s.known);
	assert_true(f.sustainable.known);
}

static void without_time_wait_nothing_is_claimed(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	s.pool.states[LP_ESTABLISHED] = 999;
	struct lp_forecast f = look(&s);
	assert_false(f.rate.known || f.rate_recent.known || f.exhausted_in_s.known);
	assert_int_equal(f.n_drain, 0);
	assert_near(f.sustainable.n, 1000 / 60.0);
}

static void what_a_new_destination_can_sustain(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	s.pool.states[LP_ESTABLISHED] = 999;
	assert_near(look_new(&s).sustainable.n, 1000 / 60.0);
	s.netns.tw_reuse = lp_figure(2); /* not loopback */
	assert_near(look_new(&s).sustainable.n, 1000 / 60.0);
	s.netns.tw_reuse = lp_figure(1);
	assert_near(look_new(&s).sustainable.n, 1000);
	assert_false(look_new(&s).rate.known || look_new(&s).exhausted_in_s.known);
}

static void two_looks_tell_growth(void **state)
{
	(void)state;
	struct scene s;
	set_up(&s, 1000);
	s.pool.states[LP_ESTABLISHED] = 900;
	struct lp_forecast f = look(&s);
	lp_forecast_growth(&f, &s.limit, 880, 2);
	assert_near(f.exhausted_in_s.n, 10);
	f = look(&s);
	lp_forecast_growth(&f, &s.limit, 900, 2);
	assert_true(isinf(f.exhausted_in_s.n));
}

UNIT_MAIN(cmocka_unit_test(a_steady_rate_fills_the_rest),
          cmocka_unit_test(what_drains_meanwhile_makes_room),
          cmocka_unit_test(a_burst_long_ago_is_no_rate),
          cmocka_unit_test(live_connections_do_not_drain),
          cmocka_unit_test(reuse_shortens_the_stay),
          cmocka_unit_test(cut_short_timers_tell_no_rate),
          cmocka_unit_test(without_time_wait_nothing_is_claimed),
          cmocka_unit_test(what_a_new_destination_can_sustain),
          cmocka_unit_test(two_looks_tell_growth))
