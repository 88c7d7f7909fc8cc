/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/sockets.h"

#include "snapshot/listeners.h"

#include <stdio.h>

#include "unit.h"

static struct lp_port_map reserved;

static struct lp_netns range(uint32_t low, uint32_t high)
{
	return (struct lp_netns){.range_low = lp_figure(low),
	                         .range_high = lp_figure(high),
	                         .tw_reuse_delay_ms = lp_figure(1000),
	                         .has_ipv6 = true};
}

static void done(struct lp_netns *netns)
{
	free(netns->listeners);
	free(netns->binds);
	free(netns->pools);
}

static void listen_on(struct lp_sockets *s, const char *address, uint16_t port, bool v6only)
{
	struct lp_listener listener = {
	        .address = unit_address(address), .port = port, .v6only = v6only};
	assert_int_equal(lp_sockets_listener(s, &listener), 0);
}

static void connection(struct lp_sockets *s, const char *local, uint16_t port, const char *remote,
                       uint16_t remote_port, uint8_t state, uint32_t left_ms)
{
	struct lp_socket socket = {.local = unit_address(local),
	                           .remote = unit_address(remote),
	                           .local_port = port,
	                           .remote_port = remote_port,
	                           .state = state,
	                           .left_ms = left_ms};
	lp_sockets_add(s, &socket);
}

static const struct lp_bind_address *bind_of(const struct lp_netns *netns, const char *address)
{
	struct lp_address wanted = unit_address(address);
	for (size_t i = 0; i < netns->n_binds; i++)
		if (lp_address_equal(&netns->binds[i].address, &wanted))
			return &netns->binds[i];
	return NULL;
}

static void groups_by_tuple_less_port(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1099);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	lp_sockets_begin(s);
	connection(s, "10.0.0.1", 1000, "10.0.0.2", 80, LP_ESTABLISHED, 0);
	connection(s, "10.0.0.1", 1001, "10.0.0.2", 80, LP_TIME_WAIT, 59500);
	connection(s, "10.0.0.1", 1002, "10.0.0.2", 80, LP_TIME_WAIT, 20000);
	connection(s, "10.0.0.1", 1000, "10.0.0.2", 81, LP_ESTABLISHED, 0);
	connection(s, "10.0.0.1", 2000, "10.0.0.2", 80, LP_ESTABLISHED, 0); /* out of the range */
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);

	assert_int_equal(netns.n_pools, 2);
	const struct lp_pool *pool = &netns.pools[0];
	assert_int_equal(pool->key.side, LP_OPENED);
	assert_int_equal(pool->key.port, 80);
	assert_int_equal(pool->states[LP_ESTABLISHED], 1);
	assert_int_equal(pool->states[LP_TIME_WAIT], 2);
	assert_int_equal(pool->aged, 1);
	assert_int_equal(pool->left[59], 1);
	assert_int_equal(pool->left[20], 1);
	assert_int_equal(pool->oldest_left_ms, 20000);
	assert_int_equal(pool->late_ports, 1);
	assert_int_equal(netns.states[LP_ESTABLISHED], 3);
	assert_int_equal(netns.timers.left[20], 1);
	done(&netns);
}

static void held_and_reserved_ports_are_not_connects(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_port_map some = {0};
	lp_port_set(&some, 1001);
	struct lp_address loopback = unit_address("127.0.0.1");
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &some, &s), 0);
	listen_on(s, "127.0.0.1", 1002, false);
	assert_int_equal(lp_sockets_bound(s, &loopback, 1003, false), 0);
	assert_int_equal(lp_sockets_bound(s, &loopback, 1001, false), 0); /* reserved as well */
	lp_sockets_begin(s);
	for (uint16_t port = 1000; port < 1010; port++)
		connection(s, "10.0.0.1", port, "10.0.0.2", 80, LP_ESTABLISHED, 0);
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);

	assert_int_equal(netns.held, 2);
	assert_int_equal(netns.n_pools, 2);
	assert_int_equal(netns.pools[0].key.side, LP_OPENED);
	assert_int_equal(netns.pools[0].states[LP_ESTABLISHED], 7);
	assert_int_equal(netns.pools[1].key.side, LP_ACCEPTED);
	assert_int_equal(netns.pools[1].key.port, 1002);
	done(&netns);
}

static void accepted_connections_are_grouped_by_client(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	listen_on(s, "0.0.0.0", 80, false);
	lp_sockets_begin(s);
	connection(s, "10.0.0.1", 80, "10.0.0.9", 5000, LP_ESTABLISHED, 0);
	connection(s, "10.0.0.1", 80, "10.0.0.9", 600, LP_TIME_WAIT, 1000);
	connection(s, "10.0.0.1", 80, "10.0.0.8", 5000, LP_ESTABLISHED, 0);
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(netns.n_pools, 2);
	assert_int_equal(netns.pools[0].key.side, LP_ACCEPTED);
	assert_int_equal(netns.pools[0].low_ports, 1);
	assert_int_equal(netns.pools[0].states[LP_TIME_WAIT], 1);
	done(&netns);
}

static void bind_finds_what_is_in_its_way(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	listen_on(s, "10.0.0.1", 1000, false);
	listen_on(s, "::", 1001, true);
	listen_on(s, "::", 1002, false);
	listen_on(s, "0.0.0.0", 1003, false);
	lp_sockets_begin(s);
	connection(s, "10.0.0.1", 1004, "10.0.0.9", 80, LP_TIME_WAIT, 1000);
	connection(s, "10.0.0.1", 1004, "10.0.0.9", 81, LP_ESTABLISHED, 0);
	connection(s, "10.0.0.2", 1005, "10.0.0.9", 80, LP_ESTABLISHED, 0);
	connection(s, "fd00::1", 1006, "fd00::9", 80, LP_ESTABLISHED, 0);
	connection(s, "fd00::1", 1001, "fd00::9", 5000, LP_ESTABLISHED, 0); /* accepted */
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);

	const struct lp_bind_address *bind = bind_of(&netns, "10.0.0.1");
	assert_int_equal(bind->held, 3); /* 1000, 1002, 1003 */
	assert_int_equal(bind->taken, 1);
	bind = bind_of(&netns, "10.0.0.2");
	assert_int_equal(bind->held, 2);
	assert_int_equal(bind->taken, 1);
	bind = bind_of(&netns, "fd00::1");
	assert_int_equal(bind->held, 2); /* 1001, 1002 */
	assert_int_equal(bind->taken, 1);
	bind = bind_of(&netns, "0.0.0.0");
	assert_int_equal(bind->held, 3);
	assert_int_equal(bind->taken, 3);
	assert_int_equal(bind->by_six, 1); /* 1006, unless bound to an address; never 1001 */
	bind = bind_of(&netns, "::");
	assert_int_equal(bind->held, 4);
	assert_int_equal(bind->taken, 3);
	assert_int_equal(bind->by_six, 0);
	done(&netns);
}

static uint64_t requests_of(const struct lp_netns *netns, const char *address, uint16_t port)
{
	struct lp_address wanted = unit_address(address);
	for (size_t i = 0; i < netns->n_listeners; i++) {
		const struct lp_listener *listener = &netns->listeners[i];
		if (listener->port == port && lp_address_equal(&listener->address, &wanted)) {
			assert_true(listener->requests.known);
			return listener->requests.n;
		}
	}
	fail_msg("no listener on %s:%u", address, port);
	return 0;
}

/* As the kernel looks a listener up: the address itself, then the wildcard, then [::]. */
static void a_request_counts_at_the_listener_that_gets_it(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1099);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	listen_on(s, "::", 82, true);
	listen_on(s, "0.0.0.0", 80, false);
	listen_on(s, "10.0.0.1", 80, false);
	listen_on(s, "::", 81, false);
	listen_on(s, "2001:db8::1", 81, false);
	for (int try = 0; try < 2; try++) {
		lp_sockets_begin(s);
		connection(s, "10.0.0.1", 80, "10.0.0.9", 1, LP_SYN_RECV, 0);
		connection(s, "10.0.0.1", 80, "10.0.0.9", 2, LP_SYN_RECV, 0);
		connection(s, "10.0.0.1", 80, "10.0.0.9", 3, LP_ESTABLISHED, 0);
		connection(s, "10.0.0.2", 80, "10.0.0.9", 1, LP_SYN_RECV, 0);
		connection(s, "10.0.0.1", 81, "10.0.0.9", 1, LP_SYN_RECV, 0);
		connection(s, "2001:db8::2", 81, "2001:db8::9", 1, LP_SYN_RECV, 0);
		connection(s, "2001:db8::1", 81, "2001:db8::9", 1, LP_SYN_RECV, 0);
		connection(s, "10.0.0.1", 82, "10.0.0.9", 1, LP_SYN_RECV, 0);
		connection(s, "10.0.0.1", 83, "10.0.0.9", 1, LP_SYN_RECV, 0);
	}
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(requests_of(&netns, "10.0.0.1", 80), 2);
	assert_int_equal(requests_of(&netns, "0.0.0.0", 80), 1);
	assert_int_equal(requests_of(&netns, "::", 81), 2);
	assert_int_equal(requests_of(&netns, "2001:db8::1", 81), 1);
	assert_int_equal(requests_of(&netns, "::", 82), 0); /* for IPv6 only */
	done(&netns);
}

static struct lp_overflow overflow_of(const struct lp_listener *before, size_t n_before,
                                      const struct lp_listener *now, size_t n_now)
{
	const struct lp_netns was = {.sockets_read = true,
	                             .listeners = (struct lp_listener *)before,
	                             .n_listeners = n_before};
	const struct lp_netns is = {
	        .sockets_read = true, .listeners = (struct lp_listener *)now, .n_listeners = n_now};
	return lp_listeners_overflow(&was, &is);
}

/* What the namespace counted is a listener's only where no other one can have caused it. */
static void an_overflow_is_a_listeners_where_that_is_certain(void **state)
{
	(void)state;
	const struct lp_listener idle[] = {{.inode = 1, .backlog = 5}, {.inode = 2, .backlog = 5}};
	const struct lp_listener full[] = {{.inode = 1, .backlog = 5, .waiting = 6},
	                                   {.inode = 2, .backlog = 5, .waiting = 5}};
	const struct lp_listener both[] = {{.inode = 1, .backlog = 5, .waiting = 6},
	                                   {.inode = 2, .backlog = 5, .waiting = 6}};
	const struct lp_listener nameless[] = {{.backlog = 5, .waiting = 6}};
	struct lp_overflow overflow = overflow_of(idle, 1, idle, 1);
	assert_int_equal(overflow.how, LP_OVERFLOW_OF_ONLY);
	assert_int_equal(overflow.inode, 1);
	overflow = overflow_of(full, 2, full, 2);
	assert_int_equal(overflow.how, LP_OVERFLOW_OF_ONLY_FULL);
	assert_int_equal(overflow.inode, 1);
	assert_int_equal(overflow_of(idle, 2, idle, 2).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(idle, 2, full, 2).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(full, 2, idle, 2).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(both, 2, full, 2).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(both, 2, both, 2).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(idle, 1, idle + 1, 1).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(idle, 2, idle, 1).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(nameless, 1, nameless, 1).how, LP_OVERFLOW_OF_NAMESPACE);
	assert_int_equal(overflow_of(NULL, 0, NULL, 0).how, LP_OVERFLOW_OF_NAMESPACE);
}

static void another_try_counts_nothing_twice(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	for (int try = 0; try < 2; try++) {
		lp_sockets_forget_held(s);
		listen_on(s, "10.0.0.1", 1000, false);
	}
	for (int try = 0; try < 2; try++) {
		struct lp_address any = lp_address_any(AF_INET);
		lp_sockets_forget_bound(s);
		assert_int_equal(lp_sockets_bound(s, &any, 1001, false), 0);
	}
	for (int try = 0; try < 2; try++) {
		lp_sockets_begin(s);
		connection(s, "10.0.0.1", 1004, "10.0.0.9", 80, LP_TIME_WAIT, 1000);
	}
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(netns.n_listeners, 1);
	assert_int_equal(netns.held, 2);
	assert_int_equal(netns.states[LP_TIME_WAIT], 1);
	assert_int_equal(netns.timers.left[1], 1);
	assert_int_equal(netns.n_pools, 1);
	assert_int_equal(netns.pools[0].states[LP_TIME_WAIT], 1);
	assert_int_equal(bind_of(&netns, "10.0.0.1")->held, 2);
	done(&netns);
}

static void many_local_addresses_are_bounded_and_said(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	lp_sockets_begin(s);
	for (int i = 0; i < 1000; i++) {
		char address[32];
		(void)snprintf(address, sizeof(address), "10.1.%d.%d", i / 250, i % 250);
		connection(s, address, 1004, "10.0.0.9", 80, LP_ESTABLISHED, 0);
	}
	assert_int_equal(lp_sockets_finish(s), 0);
	assert_true(lp_sockets_binds_left_out(s) > 0);
	lp_sockets_free(s);
	assert_int_equal(netns.n_pools, 1000);
	assert_int_equal(bind_of(&netns, "0.0.0.0")->taken, 1);
	assert_int_equal(bind_of(&netns, "10.1.0.0")->taken, 1);
	done(&netns);
}

static void without_a_range_nothing_is_a_pool(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	lp_sockets_begin(s);
	connection(s, "10.0.0.1", 40000, "10.0.0.9", 80, LP_ESTABLISHED, 0);
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(netns.n_pools, 0);
	assert_int_equal(netns.states[LP_ESTABLISHED], 1);
	done(&netns);
}

/* What a reader tells takes the place of what is guessed. */
static void told_ports_are_closed_instead(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	listen_on(s, "10.0.0.1", 1001, false);
	lp_sockets_know_closed(s, true);
	lp_sockets_closed(s, 1009);
	lp_sockets_know_closed(s, true);
	lp_sockets_closed(s, 1002);
	lp_sockets_closed(s, 1003);
	lp_sockets_closed(s, 999);
	lp_sockets_begin(s);
	connection(s, "10.0.0.1", 1002, "10.0.0.2", 80, LP_ESTABLISHED, 0);
	connection(s, "10.0.0.1", 1004, "10.0.0.2", 80, LP_ESTABLISHED, 0);
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_true(netns.held_exact);
	assert_int_equal(netns.held, 2);
	assert_int_equal(netns.n_pools, 1);
	assert_int_equal(netns.pools[0].states[LP_ESTABLISHED], 1);
	done(&netns);
}

static void timestamps_and_age_are_as_told(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	lp_sockets_begin(s);
	const struct lp_socket like = {.local = unit_address("10.0.0.1"),
	                               .remote = unit_address("10.0.0.2"),
	                               .remote_port = 80,
	                               .state = LP_TIME_WAIT,
	                               .left_ms = 58000};
	struct lp_socket none = like, young = like, old = like, old_by_timer = like;
	none.local_port = 1000, none.timestamps = LP_NO;
	young.local_port = 1001, young.age_told = true, young.age_ms = 1000;
	old.local_port = 1002, old.age_told = true, old.age_ms = 1001;
	old.left_ms = 60000; /* its timer was set anew */
	old_by_timer.local_port = 1003, old_by_timer.timestamps = LP_YES;
	lp_sockets_add(s, &none);
	lp_sockets_add(s, &young);
	assert_int_equal(lp_sockets_recount(s), false);
	lp_sockets_add(s, &old);
	lp_sockets_add(s, &old_by_timer);
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(netns.pools[0].states[LP_TIME_WAIT], 4);
	assert_int_equal(netns.pools[0].aged, 2);
	done(&netns);
}

static void six_only_is_in_nobodys_way(void **state)
{
	(void)state;
	struct lp_netns netns = range(1000, 1009);
	struct lp_sockets *s;
	assert_int_equal(lp_sockets_new(&netns, &reserved, &s), 0);
	lp_sockets_begin(s);
	struct lp_socket socket = {.local = unit_address("fd00::1"),
	                           .remote = unit_address("fd00::2"),
	                           .remote_port = 80,
	                           .state = LP_ESTABLISHED};
	for (unsigned i = 0; i < 6; i++) {
		static const uint8_t told[] = {LP_UNTOLD, LP_YES, LP_YES, LP_NO, LP_NO, LP_NO};
		socket.local_port = (uint16_t)(1000 + i);
		socket.v6only = told[i];
		lp_sockets_add(s, &socket);
	}
	assert_int_equal(lp_sockets_finish(s), 0);
	lp_sockets_free(s);
	assert_int_equal(bind_of(&netns, "0.0.0.0")->taken, 4);
	assert_int_equal(bind_of(&netns, "0.0.0.0")->by_six, 1);
	assert_int_equal(bind_of(&netns, "::")->taken, 6);
	done(&netns);
}

UNIT_MAIN(cmocka_unit_test(told_ports_are_closed_instead),
          cmocka_unit_test(timestamps_and_age_are_as_told),
          cmocka_unit_test(six_only_is_in_nobodys_way), cmocka_unit_test(groups_by_tuple_less_port),
          cmocka_unit_test(held_and_reserved_ports_are_not_connects),
          cmocka_unit_test(accepted_connections_are_grouped_by_client),
          cmocka_unit_test(bind_finds_what_is_in_its_way),
          cmocka_unit_test(a_request_counts_at_the_listener_that_gets_it),
          cmocka_unit_test(an_overflow_is_a_listeners_where_that_is_certain),
          cmocka_unit_test(another_try_counts_nothing_twice),
          cmocka_unit_test(many_local_addresses_are_bounded_and_said),
          cmocka_unit_test(without_a_range_nothing_is_a_pool))
