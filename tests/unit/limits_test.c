/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit/kinds.h"

#include <stdio.h>

#include "unit.h"

static struct lp_pool pool(const char *local, const char *remote, uint16_t side)
{
	return (struct lp_pool){.key = {.local = unit_address(local),
	                                .remote = unit_address(remote),
	                                .port = 80,
	                                .side = side}};
}

static struct lp_netns netns_of(struct lp_pool *pools, size_t n)
{
	return (struct lp_netns){.range_low = lp_figure(1000),
	                         .range_high = lp_figure(1099),
	                         .timestamps = lp_figure(1),
	                         .tw_reuse = lp_figure(2),
	                         .tw_reuse_delay_ms = lp_figure(1000),
	                         .sockets_read = true,
	                         .pools = pools,
	                         .n_pools = n};
}

static struct lp_limits collect(struct lp_netns *netns, const struct lp_limit_kind *kind)
{
	struct lp_snapshot snapshot = {.netns = netns, .n_netns = 1};
	struct lp_limits limits = {0};
	assert_int_equal(lp_limits_collect(&snapshot, kind, &limits), 0);
	return limits;
}

static struct lp_limit of_pool(struct lp_netns *netns, const struct lp_limit_kind *kind)
{
	struct lp_limits limits = collect(netns, kind);
	struct lp_limit found = {0};
	for (size_t i = 0; i < limits.n; i++)
		if (limits.items[i].pool)
			found = limits.items[i];
	assert_non_null(found.kind);
	lp_limits_done(&limits);
	return found;
}

static void what_is_not_tracked_is_said(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	struct lp_snapshot snapshot = {.netns = &netns, .n_netns = 1};
	assert_non_null(strstr(lp_conntrack_entries.absent(&snapshot), "not loaded"));
	assert_non_null(strstr(lp_snat_ports.absent(&snapshot), "not loaded"));
	netns.conntrack_entries = lp_figure(0);
	assert_non_null(strstr(lp_snat_ports.absent(&snapshot), "Nothing is tracked"));
	struct lp_limits limits = collect(&netns, &lp_conntrack_entries);
	assert_int_equal(limits.n, 0);
	lp_limits_done(&limits);
}

static void held_and_reserved_ports_are_no_capacity(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
	one.states[LP_ESTABLISHED] = 20;
	struct lp_netns netns = netns_of(&one, 1);
	netns.reserved = 5;
	netns.held = 7;
	struct lp_limit limit = of_pool(&netns, &lp_local_ports);
	assert_int_equal(limit.capacity, 88);
	assert_int_equal(limit.used, 20);
	assert_int_equal(limit.headroom, 68);
	assert_int_equal(limit.pressure, 2272);
	assert_true(limit.exact);
}

static uint64_t reusable(uint64_t tw_reuse, uint64_t timestamps, const char *remote)
{
	struct lp_pool one = pool("10.0.0.1", remote, LP_OPENED);
	one.states[LP_TIME_WAIT] = 10;
	one.aged = 6;
	struct lp_netns netns = netns_of(&one, 1);
	netns.tw_reuse = lp_figure(tw_reuse);
	netns.timestamps = lp_figure(timestamps);
	struct lp_limit limit = of_pool(&netns, &lp_local_ports);
	assert_int_equal(limit.used + limit.reusable.n, 10);
	return limit.reusable.n;
}

static void reuse_needs_leave_timestamps_and_age(void **state)
{
	(void)state;
	assert_int_equal(reusable(0, 1, "10.0.0.2"), 0);
	assert_int_equal(reusable(1, 1, "10.0.0.2"), 6);
	assert_int_equal(reusable(1, 0, "10.0.0.2"), 0);
	assert_int_equal(reusable(2, 1, "10.0.0.2"), 0);
	assert_int_equal(reusable(2, 1, "127.0.0.2"), 6);
	assert_int_equal(reusable(2, 0, "127.0.0.2"), 0);
}

static void a_new_destination_has_a_pool_for_each_family(void **state)
{
	(void)state;
	struct lp_netns netns = netns_of(NULL, 0);
	struct lp_limits limits = collect(&netns, &lp_local_ports);
	assert_int_equal(limits.n, 1);
	assert_int_equal(limits.items[0].headroom, 100);
	lp_limits_done(&limits);
	netns.has_ipv6 = true;
	limits = collect(&netns, &lp_local_ports);
	assert_int_equal(limits.n, 2);
	struct lp_scope scope = {0};
	lp_local_ports.scope(&limits.items[1], &scope);
	assert_int_equal(scope.n, 3);
	assert_string_equal(scope.words[0].text, "::");
	assert_int_equal(scope.words[1].type, LP_SCOPE_NULL);
	lp_limits_done(&limits);
}

static void what_was_not_read_is_absent(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
	one.states[LP_ESTABLISHED] = 20;
	struct lp_netns netns = netns_of(&one, 1);
	netns.sockets_read = false;
	struct lp_limits limits = collect(&netns, NULL);
	assert_int_equal(limits.n, 0);
	lp_limits_done(&limits);
	netns.sockets_read = true;
	netns.range_low.known = false;
	limits = collect(&netns, &lp_local_ports);
	assert_int_equal(limits.n, 0);
	lp_limits_done(&limits);
}

static void torn_and_short_counts_are_estimates(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
	one.states[LP_ESTABLISHED] = 20;
	struct lp_netns netns = netns_of(&one, 1);
	assert_true(of_pool(&netns, &lp_local_ports).exact);
	netns.sockets_torn = true;
	assert_false(of_pool(&netns, &lp_local_ports).exact);
	netns.sockets_torn = false;
	one.missed = 1;
	assert_false(of_pool(&netns, &lp_local_ports).exact);
}

static void an_odd_range_says_so(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
	one.states[LP_ESTABLISHED] = 20;
	struct lp_netns netns = netns_of(&one, 1);
	assert_int_equal(of_pool(&netns, &lp_local_ports).assumed, 0);
	netns.range_high.n++;
	assert_int_equal(of_pool(&netns, &lp_local_ports).assumed, LP_ASSUME_ODD_RANGE);
	netns.range_high.n = netns.range_low.n; /* one port: exact */
	assert_int_equal(of_pool(&netns, &lp_local_ports).assumed & LP_ASSUME_ODD_RANGE, 0);
}

static void late_ports_early_look_like_bind(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
	one.states[LP_ESTABLISHED] = 20;
	one.late_ports = 10;
	struct lp_netns netns = netns_of(&one, 1);
	assert_int_equal(of_pool(&netns, &lp_local_ports).assumed, LP_ASSUME_PORTS_BY_CONNECT);
	one.states[LP_ESTABLISHED] = 60; /* the early half is used up: natural */
	assert_int_equal(of_pool(&netns, &lp_local_ports).assumed, 0);
}

static void a_client_has_the_ports_it_may_use(void **state)
{
	(void)state;
	struct lp_pool one = pool("10.0.0.1", "10.0.0.9", LP_ACCEPTED);
	one.states[LP_ESTABLISHED] = 20;
	one.states[LP_TIME_WAIT] = 5;
	struct lp_netns netns = netns_of(&one, 1);
	struct lp_limit limit = of_pool(&netns, &lp_client_ports);
	assert_int_equal(limit.capacity, 64512);
	assert_int_equal(limit.used, 20);
	assert_int_equal(limit.reusable.n, 5);
	assert_true(limit.assumed & LP_ASSUME_CLIENT_PORTS);
	one.low_ports = 1;
	limit = of_pool(&netns, &lp_client_ports);
	assert_int_equal(limit.capacity, 65535);
	assert_false(limit.assumed & LP_ASSUME_CLIENT_PORTS);
}

static void an_accept_queue_holds_one_more(void **state)
{
	(void)state;
	struct lp_listener listener = {
	        .address = unit_address("::"), .port = 80, .waiting = 128, .backlog = 128};
	struct lp_netns netns = netns_of(NULL, 0);
	netns.listeners = &listener;
	netns.n_listeners = 1;
	struct lp_limits limits = collect(&netns, &lp_accept_queue);
	assert_int_equal(limits.n, 1);
	assert_int_equal(limits.items[0].capacity, 129);
	assert_int_equal(limits.items[0].headroom, 1);
	lp_limits_done(&limits);
	listener.backlog = UINT32_MAX;
	limits = collect(&netns, &lp_accept_queue);
	assert_int_equal(limits.items[0].capacity, UINT64_C(4294967296));
	lp_limits_done(&limits);
}

static struct lp_limit syn_queue_of(struct lp_netns *netns, const char *kernel)
{
	struct lp_snapshot snapshot = {.netns = netns, .n_netns = 1};
	struct lp_limits limits = {0};
	(void)snprintf(snapshot.machine.kernel, sizeof(snapshot.machine.kernel), "%s", kernel);
	assert_int_equal(lp_limits_collect(&snapshot, &lp_syn_queue, &limits), 0);
	struct lp_limit limit = limits.n ? limits.items[0] : (struct lp_limit){0};
	assert_true(limits.n <= 1);
	lp_limits_done(&limits);
	return limit;
}

static void a_syn_queue_is_bounded_by_the_backlog(void **state)
{
	(void)state;
	struct lp_listener listener = {.address = unit_address("::"),
	                               .port = 80,
	                               .backlog = 128,
	                               .requests = lp_figure(9)};
	struct lp_netns netns = netns_of(NULL, 0);
	netns.listeners = &listener;
	netns.n_listeners = 1;
	netns.syncookies = lp_figure(1);
	netns.max_syn_backlog = lp_figure(8);
	struct lp_limit limit = syn_queue_of(&netns, "6.18.44");
	assert_int_equal(limit.used, 9);
	assert_int_equal(limit.capacity, 129);
	assert_int_equal(limit.assumed, 0);
	assert_int_equal(syn_queue_of(&netns, "6.14.0-rc1").capacity, 129);
	assert_int_equal(syn_queue_of(&netns, "7.0.0").capacity, 129);
	limit = syn_queue_of(&netns, "6.13.9");
	assert_int_equal(limit.capacity, 128);
	assert_int_equal(limit.assumed, LP_ASSUME_SYN_QUEUE_EVEN);
	assert_int_equal(syn_queue_of(&netns, "strange").capacity, 128);
	netns.syncookies = lp_figure(2);
	assert_null(syn_queue_of(&netns, "6.18.44").kind);
	netns.syncookies = (struct lp_figure){0};
	assert_int_equal(syn_queue_of(&netns, "6.18.44").capacity, 129);
	listener.requests.known = false;
	assert_null(syn_queue_of(&netns, "6.18.44").kind);
}

/* A quarter of tcp_max_syn_backlog is kept for clients that the kernel remembers. */
static void without_cookies_max_syn_backlog_bounds_it_too(void **state)
{
	(void)state;
	struct lp_listener listener = {.address = unit_address("10.0.0.1"),
	                               .port = 80,
	                               .backlog = 128,
	                               .requests = lp_figure(0)};
	struct lp_netns netns = netns_of(NULL, 0);
	netns.listeners = &listener;
	netns.n_listeners = 1;
	netns.syncookies = lp_figure(0);
	netns.max_syn_backlog = lp_figure(100);
	struct lp_limit limit = syn_queue_of(&netns, "6.18.44");
	assert_int_equal(limit.capacity, 76);
	assert_int_equal(limit.assumed, LP_ASSUME_CLIENTS_UNKNOWN);
	netns.max_syn_backlog = lp_figure(1);
	assert_int_equal(syn_queue_of(&netns, "6.18.44").capacity, 2);
	netns.max_syn_backlog = lp_figure(4096);
	assert_int_equal(syn_queue_of(&netns, "6.18.44").capacity, 129);
}

static void pressure_never_overflows(void **state)
{
	(void)state;
	struct lp_limits limits = {0};
	struct lp_limit *limit = lp_limits_add(&limits, &lp_file_descriptors, LP_NO_NETNS, 5, 0);
	assert_int_equal(limit->pressure, LP_FULL);
	assert_int_equal(limit->headroom, 0);
	limit = lp_limits_add(&limits, &lp_file_descriptors, LP_NO_NETNS, INT64_MAX / 2, INT64_MAX);
	assert_in_range(limit->pressure, 4999, 5000);
	limit = lp_limits_add(&limits, &lp_file_descriptors, LP_NO_NETNS, 300, 200);
	assert_int_equal(limit->pressure, LP_FULL);
	assert_int_equal(limit->headroom, 0);
	lp_limits_done(&limits);
}

static void the_nearest_comes_first(void **state)
{
	(void)state;
	struct lp_pool pools[3];
	for (int i = 0; i < 3; i++) {
		pools[i] = pool("10.0.0.1", "10.0.0.2", LP_OPENED);
		pools[i].key.port = (uint16_t)(80 + i);
		pools[i].states[LP_ESTABLISHED] = (uint16_t)(i == 1 ? 90 : 10);
	}
	struct lp_netns netns = netns_of(pools, 3);
	struct lp_limits limits = collect(&netns, NULL);
	assert_ptr_equal(limits.items[0].pool, &pools[1]);
	for (size_t i = 1; i < limits.n; i++)
		assert_true(limits.items[i - 1].pressure >= limits.items[i].pressure);
	lp_limits_done(&limits);
}

UNIT_MAIN(cmocka_unit_test(what_is_not_tracked_is_said),
          cmocka_unit_test(held_and_reserved_ports_are_no_capacity),
          cmocka_unit_test(reuse_needs_leave_timestamps_and_age),
          cmocka_unit_test(a_new_destination_has_a_pool_for_each_family),
          cmocka_unit_test(what_was_not_read_is_absent),
          cmocka_unit_test(torn_and_short_counts_are_estimates),
          cmocka_unit_test(an_odd_range_says_so), cmocka_unit_test(late_ports_early_look_like_bind),
          cmocka_unit_test(a_client_has_the_ports_it_may_use),
          cmocka_unit_test(an_accept_queue_holds_one_more),
          cmocka_unit_test(a_syn_queue_is_bounded_by_the_backlog),
          cmocka_unit_test(without_cookies_max_syn_backlog_bounds_it_too),
          cmocka_unit_test(pressure_never_overflows), cmocka_unit_test(the_nearest_comes_first))
