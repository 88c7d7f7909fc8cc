/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lab does what it says: what it made is what the kernel counts. */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"

/* Two namespaces with a wire and addresses of both families. */
struct wire {
	struct lab_ns client, server;
	struct lab_addr to[2];
	int listeners[2];
};

static int wire_setup(void **state)
{
	static struct wire wire;
	wire = (struct wire){.client = LAB_NS_NONE, .server = LAB_NS_NONE, .listeners = {-1, -1}};
	*state = &wire;
	struct lp_error err = {0};
	assert_ok(lab_ns_make(&wire.client, &err), err);
	assert_ok(lab_ns_make(&wire.server, &err), err);
	assert_ok(lab_veth(&wire.client, "c0", &wire.server, "s0", &err), err);
	assert_ok(lab_address(&wire.client, "c0", "10.1.0.1/24", &err), err);
	assert_ok(lab_address(&wire.server, "s0", "10.1.0.2/24", &err), err);
	assert_ok(lab_address(&wire.client, "c0", "fd01::1/64", &err), err);
	assert_ok(lab_address(&wire.server, "s0", "fd01::2/64", &err), err);
	wire.to[0] = lab_addr("10.1.0.2", 80);
	wire.to[1] = lab_addr("fd01::2", 80);
	for (int i = 0; i < 2; i++) {
		struct lab_how how = {.ns = &wire.server,
		                      .from = &wire.to[i],
		                      .options = LAB_REUSEADDR | LAB_V6ONLY};
		wire.listeners[i] = must(lab_listen(&how, 200));
	}
	return 0;
}

static int wire_teardown(void **state)
{
	struct wire *wire = *state;
	lp_close_fd(&wire->listeners[0]);
	lp_close_fd(&wire->listeners[1]);
	lab_ns_done(&wire->client);
	lab_ns_done(&wire->server);
	return 0;
}

/* n connections of each family, ended in one way: what TIME_WAIT each side keeps. */
static void check_end(struct wire *wire, enum lab_end end, int at_client, int at_server)
{
	enum { N = 7 };
	for (int i = 0; i < 2; i++) {
		int client = must(lab_time_wait_count(&wire->client));
		int server = must(lab_time_wait_count(&wire->server));
		struct lab_how how = {.ns = &wire->client};
		must_count(lab_open_and_end(&how, &wire->to[i], wire->listeners[i], end, N), N);
		assert_int_equal(lab_time_wait_count(&wire->client) - client, at_client * N);
		assert_int_equal(lab_time_wait_count(&wire->server) - server, at_server * N);
	}
}

static void client_first(void **state)
{
	check_end(*state, LAB_CLIENT_FIRST, 1, 0);
}

static void server_first(void **state)
{
	check_end(*state, LAB_SERVER_FIRST, 0, 1);
}

static void together(void **state)
{
	check_end(*state, LAB_TOGETHER, 1, 1);
}

static void reset(void **state)
{
	check_end(*state, LAB_RESET, 0, 0);
}

static void half_close(void **state)
{
	struct wire *wire = *state;
	struct lab_pair pair = LAB_PAIR_NONE;
	struct lab_how how = {.ns = &wire->client};
	must(lab_pair_open(&how, &wire->to[0], wire->listeners[0], &pair));
	must(lab_pair_half_close(&pair));
	assert_int_equal(lab_tcp_state(pair.client), TCP_FIN_WAIT2);
	assert_int_equal(lab_tcp_state(pair.server), TCP_CLOSE_WAIT);
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	assert_int_equal(lab_time_wait_count(&wire->client), 1);
}

static void tuple_state(void **state)
{
	struct wire *wire = *state;
	for (int i = 0; i < 2; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		struct lab_how how = {.ns = &wire->client};
		must(lab_pair_open(&how, &wire->to[i], wire->listeners[i], &pair));
		struct lab_addr from = lab_addr_local(pair.client);
		struct lab_addr *to = &wire->to[i];
		assert_int_equal(lab_tuple_state(&wire->client, &from, to), TCP_ESTABLISHED);
		assert_int_equal(lab_tuple_state(&wire->server, to, &from), TCP_ESTABLISHED);
		must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
		assert_int_equal(lab_tuple_state(&wire->client, &from, to), TCP_TIME_WAIT);
		assert_int_equal(lab_tuple_state(&wire->server, to, &from), -ENOENT);
	}
}

/* 100 ports hold 100 connections to one destination, whatever the way the source is given. */
static void until_refused(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	assert_ok(lab_sysctl(&wire->client, &err, "ipv4/ip_local_port_range", "20000 20099"), err);
	struct lab_addr from = lab_addr("10.1.0.1", 0);
	struct lab_how ways[] = {
	        {.ns = &wire->client},
	        {.ns = &wire->client, .from = &from, .options = LAB_BIND_NO_PORT},
	        {.ns = &wire->client, .from = &from},
	};
	int errors[] = {EADDRNOTAVAIL, EADDRNOTAVAIL, EADDRINUSE};
	for (int i = 0; i < 3; i++) {
		_cleanup_(lab_fds_done) struct lab_fds hold = {0};
		struct lab_count count = lab_connect_many(&ways[i], &wire->to[0], 150, &hold);
		assert_int_equal(count.n, 100);
		assert_int_equal(count.error, errors[i]);
		/* Reset, so that no TIME_WAIT is there for the next way. */
		for (size_t k = 0; k < hold.n; k++) {
			struct lab_pair pair = {.client = hold.items[k]};
			pair.server = must(lab_accept(wire->listeners[0], LAB_TIMEOUT_MS));
			must(lab_pair_close(&pair, LAB_RESET));
		}
		hold.n = 0;
	}
}

static void many_bound(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	assert_ok(lab_sysctl(&wire->client, &err, "ipv4/ip_local_port_range", "20000 20049"), err);
	assert_ok(lab_sysctl(&wire->client, &err, "ipv4/ip_local_reserved_ports", "20010-20014"),
	          err);
	struct lab_addr from = lab_addr("::", 0);
	struct lab_how how = {.ns = &wire->client, .from = &from};
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	struct lab_count count = lab_bind_many(&how, 100, &hold);
	assert_int_equal(count.n, 45);
	assert_int_equal(count.error, EADDRINUSE);
	char text[64];
	assert_ok(lab_sysctl(&wire->client, &err, "ipv4/ip_local_reserved_ports", "%s", ""), err);
	assert_ok(lab_sysctl_get(&wire->client, &err, "ipv4/ip_local_reserved_ports", text,
	                         sizeof(text)),
	          err);
	assert_string_equal(text, "");
}

static void sysctl_errors(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	assert_int_equal(lab_sysctl(&wire->client, &err, "ipv4/no_such_thing", "1"), -ENOENT);
	assert_non_null(strstr(err.text, "no_such_thing"));
	assert_int_equal(lab_sysctl(&wire->client, &err, "ipv4/tcp_tw_reuse", "%d", 77), -EINVAL);
	assert_non_null(strstr(err.text, "77"));
}

/* Mapped addresses make IPv6 sockets whose tuple is IPv4. */
static void mapped(void **state)
{
	struct wire *wire = *state;
	struct lab_addr to = lab_addr("::ffff:10.1.0.2", 80);
	struct lab_pair pair = LAB_PAIR_NONE;
	struct lab_how how = {.ns = &wire->client};
	must(lab_pair_open(&how, &to, wire->listeners[0], &pair));
	struct lab_addr from = lab_addr_local(pair.client);
	struct lab_addr seen = lab_addr_remote(pair.server);
	assert_int_equal(lab_addr_family(&from), AF_INET6);
	assert_int_equal(lab_addr_family(&seen), AF_INET);
	assert_int_equal(lab_addr_port(&from), lab_addr_port(&seen));
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
}

static void many_addresses(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	assert_ok(lab_addresses(&wire->client, "c0", "10.1.0.250/24", 5, &err), err);
	assert_ok(lab_addresses(&wire->client, "c0", "10.7.0.250/16", 20, &err), err);
	assert_ok(lab_route_local(&wire->server, "10.9.0.0/16", &err), err);
	assert_ok(lab_route_local(&wire->server, "fd09::/64", &err), err);
	assert_ok(lab_route(&wire->client, "0.0.0.0/0", "10.1.0.2", NULL, &err), err);
	assert_ok(lab_route(&wire->client, "::/0", "fd01::2", "c0", &err), err);
	static const struct {
		const char *from, *at;
	} cases[] = {{"10.1.0.254", "10.9.200.3"}, {"fd01::1", "fd09::77:1"}};
	for (int i = 0; i < 2; i++) {
		struct lab_addr from = lab_addr(cases[i].from, 0), at = lab_addr(cases[i].at, 81);
		struct lab_how listen = {.ns = &wire->server, .from = &at};
		struct lab_how open = {.ns = &wire->client, .from = &from};
		_cleanup_(lp_close_fd) int listener = must(lab_listen(&listen, 1));
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&open, &at, listener, &pair));
		must(lab_pair_close(&pair, LAB_RESET));
	}
	/* the carry of the last byte */
	struct lab_addr last = lab_addr("10.7.1.13", 0), beyond = lab_addr("10.7.1.14", 0);
	struct lab_how how = {.ns = &wire->client, .from = &last};
	_cleanup_(lp_close_fd) int bound = must(lab_bound(&how));
	(void)bound;
	how.from = &beyond;
	assert_int_equal(lab_bound(&how), -EADDRNOTAVAIL);
	assert_int_equal(lab_address(&wire->client, "none0", "10.2.0.1/24", &err), -ENODEV);
	assert_int_equal(lab_address(&wire->client, "c0", "10.2.0/24", &err), -EINVAL);
}

static void counters(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	assert_ok(lab_sysctl(&wire->client, &err, "ipv4/tcp_max_tw_buckets", "5"), err);
	struct lab_how how = {.ns = &wire->client};
	assert_int_equal(lab_counter(&wire->client, "TcpExt", "TCPTimeWaitOverflow"), 0);
	must_count(lab_open_and_end(&how, &wire->to[0], wire->listeners[0], LAB_CLIENT_FIRST, 9),
	           9);
	assert_int_equal(lab_counter(&wire->client, "TcpExt", "TCPTimeWaitOverflow"), 4);
	assert_int_equal(lab_counter(&wire->client, "Tcp", "ActiveOpens"), 9);
	assert_int_equal(lab_counter(&wire->client, "Tcp", "NoSuchThing"), -ENOENT);
}

static void server_serves(void **state)
{
	struct wire *wire = *state;
	struct lab_addr at = lab_addr("10.1.0.2", 0);
	struct lab_how there = {.ns = &wire->server, .from = &at}, how = {.ns = &wire->client};

	_cleanup_(lab_server_stopp) struct lab_server *echo = NULL;
	must(lab_server_start(&there, 10, LAB_SERVE_ECHO, 10, &echo));
	struct lab_addr to = lab_server_addr(echo);
	_cleanup_(lp_close_fd) int fd = must(lab_connect(&how, &to));
	char back[6] = "";
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	assert_int_equal(recv(fd, back, 5, MSG_WAITALL), 5);
	assert_string_equal(back, "hello");

	_cleanup_(lab_server_stopp) struct lab_server *closer = NULL;
	must(lab_server_start(&there, 10, LAB_SERVE_CLOSE, 10, &closer));
	to = lab_server_addr(closer);
	_cleanup_(lp_close_fd) int other = must(lab_connect(&how, &to));
	must(lab_wait_eof(other, LAB_TIMEOUT_MS));
	assert_int_equal(lab_server_accepted(closer), 1);
}

/* At most so many are held; the rest waits in the queue until one is let go. */
static void server_is_bounded(void **state)
{
	struct wire *wire = *state;
	struct lab_addr at = lab_addr("10.1.0.2", 0);
	struct lab_how there = {.ns = &wire->server, .from = &at}, how = {.ns = &wire->client};
	_cleanup_(lab_server_stopp) struct lab_server *server = NULL;
	must(lab_server_start(&there, 10, LAB_SERVE_UNTIL, 3, &server));
	struct lab_addr to = lab_server_addr(server);
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	must_count(lab_connect_many(&how, &to, 5, &hold), 5);
	for (size_t i = 0; i < hold.n; i++) {
		must(shutdown(hold.items[i], SHUT_WR));
		must(lab_wait_eof(hold.items[i], LAB_TIMEOUT_MS));
	}
	assert_int_equal(lab_server_accepted(server), 5);
}

static void steady(void **state)
{
	struct wire *wire = *state;
	struct lab_steady s = {.how = {.ns = &wire->client},
	                       .to = wire->to[0],
	                       .listener = wire->listeners[0],
	                       .end = LAB_CLIENT_FIRST,
	                       .per_s = 200,
	                       .most = 101,
	                       .seconds = 10,
	                       .tell_at = 50};
	must(lab_steady_start(&s));
	must(lab_steady_told(&s));
	int made = must(lab_time_wait_count(&wire->client));
	lab_steady_wait(&s);
	assert_in_range(made, 50, 101);
	assert_int_equal(s.count.n, 101);
	assert_int_equal(s.count.error, 0);
	/* 100 periods of 5 ms; the last one may be late, and takes a while */
	assert_in_range((s.ended_ns - s.started_ns) / 1000000, 500, 600 + s.late_ns / 1000000);
}

static void stays_where_it_was(void **state)
{
	struct wire *wire = *state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns before = LAB_NS_NONE, inside = LAB_NS_NONE,
	                                     after = LAB_NS_NONE;
	assert_ok(lab_ns_self(&before, &err), err);
	{
		_cleanup_(lab_leave) int home = must(lab_enter(&wire->client));
		(void)home;
		assert_ok(lab_ns_self(&inside, &err), err);
	}
	assert_ok(lab_ns_self(&after, &err), err);
	assert_int_equal(inside.inode, wire->client.inode);
	assert_int_not_equal(wire->client.inode, wire->server.inode);
	assert_int_equal(before.inode, after.inode);
}

/* In a child, because the mount namespace is for good. */
static int name_it(void *data, int say)
{
	(void)say;
	const struct lab_ns *ns = data;
	struct lp_error err = {0};
	struct lab_mounts mounts, none = {0};
	struct stat st;
	if (lab_private_mounts(&mounts, &err) < 0 || lab_ns_name(&mounts, ns, "lab-a", &err) < 0)
		return (int)fprintf(stderr, "# %s\n", err.text) & 1;
	if (stat("/run/netns/lab-a", &st) < 0 || st.st_ino != ns->inode)
		return 2;
	if (lab_ns_name(&none, ns, "lab-b", &err) != -EPERM)
		return 3;
	return 77;
}

static void named_without_a_trace(void **state)
{
	struct wire *wire = *state;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, name_it, &wire->client));
	assert_int_equal(lab_child_wait(&child), 77);
	struct stat st;
	assert_int_equal(stat("/run/netns/lab-a", &st), -1);
}

static int as_nobody(void *data, int say)
{
	(void)data, (void)say;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	if (lab_become(65534, 65534) < 0)
		return 1;
	if (lab_ns_make(&ns, &err) != -EPERM)
		return 2;
	if (lab_user_namespaces(&err) < 0 || lab_ns_make(&ns, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.text);
		return 3;
	}
	struct lab_addr at = lab_addr("127.0.0.1", 80);
	struct lab_how there = {.ns = &ns, .from = &at}, how = {.ns = &ns};
	int listener = lab_listen(&there, 5);
	if (listener < 0)
		return 4;
	struct lab_count count = lab_open_and_end(&how, &at, listener, LAB_CLIENT_FIRST, 3);
	return count.n == 3 && lab_time_wait_count(&ns) == 3 ? 77 : 5;
}

static void ordinary_user(void **state)
{
	(void)state;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, as_nobody, NULL));
	int status = must(lab_child_wait(&child));
	if (status == 3)
		skip(); /* a chroot, or a machine without user namespaces */
	assert_int_equal(status, 77);
}

/* A namespace is gone when its holder is killed. */
static int hold_ns(void *data, int say)
{
	struct lab_ns ns;
	struct lp_error err = {0};
	(void)data;
	if (lab_ns_make(&ns, &err) < 0)
		return 1;
	struct lab_ns *other = &ns;
	if (lab_veth(other, "a0", NULL, "lab-gone0", &err) < 0)
		return 1;
	lab_child_ready(say);
}

static void killed_leaves_nothing(void **state)
{
	struct wire *wire = *state;
	_cleanup_(lab_leave) int home = must(lab_enter(&wire->client));
	(void)home;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, hold_ns, NULL));
	struct lp_error err = {0};
	assert_ok(lab_link_up(NULL, "lab-gone0", &err), err);
	lab_child_stop(&child);
	/* The kernel takes namespaces apart in the background: its end of the wire goes with it. */
	int64_t deadline = lp_clock_ns() + INT64_C(40000000000);
	while (lab_link_up(NULL, "lab-gone0", &err) != -ENODEV && lp_clock_ns() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	assert_int_equal(lab_link_up(NULL, "lab-gone0", &err), -ENODEV);
}

static void programs(void **state)
{
	(void)state;
	struct lab_output out = {0}, errors = {0};
	const char *both[] = {"sh", "-c", "echo yes; echo no >&2; exit 3", NULL};
	assert_int_equal(lab_run(both, 5000, &out, &errors), 3);
	assert_string_equal(out.text, "yes\n");
	assert_string_equal(errors.text, "no\n");
	lab_output_done(&out);
	lab_output_done(&errors);
	const char *slow[] = {"sleep", "60", NULL};
	assert_int_equal(lab_run(slow, 50, &out, NULL), -ETIMEDOUT);
	lab_output_done(&out);
	const char *none[] = {"no-such-program-here", NULL};
	assert_int_equal(lab_run(none, 5000, &out, NULL), 127);
	lab_output_done(&out);
}

#define in_wire(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        in_wire(client_first),
	        in_wire(server_first),
	        in_wire(together),
	        in_wire(reset),
	        in_wire(half_close),
	        in_wire(tuple_state),
	        in_wire(until_refused),
	        in_wire(many_bound),
	        in_wire(sysctl_errors),
	        in_wire(mapped),
	        in_wire(many_addresses),
	        in_wire(counters),
	        in_wire(server_serves),
	        in_wire(server_is_bounded),
	        in_wire(steady),
	        in_wire(stays_where_it_was),
	        in_wire(named_without_a_trace),
	        cmocka_unit_test(ordinary_user),
	        in_wire(killed_leaves_nothing),
	        cmocka_unit_test(programs),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lab", tests, NULL, NULL);
}
