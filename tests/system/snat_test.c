/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * snat-ports: a client, a router that translates, a server that never answers. What is told of the
 * ports is the truth at every step, and of 4,000 more connections as many are refused as was
 * foretold.
 */

#include "check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "../played.h"
#include "ask.h"
#include "base/clock.h"

#define SECOND_CLIENT "10.1.0.3"
#define SIX_CLIENT    "fd00:1::2"
#define SIX_OUTSIDE   "fd00:2::1"
#define SIX_SERVER    "fd00:2::2"

enum {
	PORT = 80,
	FIRST = 2000,      /* of the ports to translate to */
	OWN = 31000,       /* the clients' own begin here, above the others */
	OWN_PORTS = 30000, /* of one client */
	TRIES = 4000,
};

struct gateway {
	struct lab_router router;
	struct lab_addr server;
	unsigned attempts; /* SYNs sent: each made an entry or was dropped */
	unsigned deleted;
};

static void gateway_make(struct gateway *gateway)
{
	struct lp_error err = {0};
	*gateway = (struct gateway){.router = LAB_ROUTER_NONE,
	                            .server = lab_addr(LAB_ROUTER_SERVER, PORT)};
	struct lab_router *router = &gateway->router;
	assert_ok(lab_ns_make(&router->client, &err), err);
	assert_ok(lab_ns_make(&router->router, &err), err);
	assert_ok(lab_ns_make(&router->server, &err), err);
	assert_ok(lab_router_join(router, &err), err);
	assert_ok(lab_address(&router->client, "out", SECOND_CLIENT "/24", &err), err);
}

static void gateway_done(struct gateway *gateway)
{
	lab_router_done(&gateway->router);
}

/* Nobody answers: an entry stays as its SYN made it. */
static void be_silent(struct gateway *gateway)
{
	struct lp_error err = {0};
	assert_ok(lab_nft_drop(&gateway->router.server, PORT, &err), err);
	assert_ok(lab_sysctl(&gateway->router.router, &err,
	                     "netfilter/nf_conntrack_tcp_timeout_syn_sent", "86400"),
	          err);
}

/* The pool of the server's port; the answer is the caller's. */
static json_t *pool_of(const struct gateway *gateway, struct answer *answer)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&gateway->router.router));
	(void)home;
	char text[64];
	*answer = ask_raw("status", "--json", "--netns", "self", "--kind", "snat-ports", NULL);
	assert_int_equal(answer->status, 0);
	return limit_find(answer, "snat-ports", 0,
	                  json_pack("{s:s,s:i}", "remote",
	                            lab_addr_text(&gateway->server, text, sizeof(text)),
	                            "remote_port", (int)lab_addr_port(&gateway->server)));
}

/* ---- SYNs ----------------------------------------------------------------------------------- */

static struct lab_addr own_address(unsigned number)
{
	const char *client =
	        number % (2 * OWN_PORTS) < OWN_PORTS ? LAB_ROUTER_CLIENT : SECOND_CLIENT;
	return lab_addr(client, (uint16_t)(OWN + number % OWN_PORTS));
}

static void send_syn(struct gateway *gateway, const struct lab_addr *from)
{
	struct lab_how how = {.ns = &gateway->router.client, .from = from, .options = LAB_NONBLOCK};
	int fd = must(lab_connect(&how, &gateway->server));
	(void)close(fd);
	gateway->attempts++;
}

/* Waits until each SYN has come to something; *held is how many entries there are. */
static void settle(const struct gateway *gateway, unsigned *held, unsigned *dropped)
{
	struct lp_error err = {0};
	int64_t deadline = lp_clock_ns() + LAB_TIMEOUT_MS * INT64_C(1000000);
	do {
		struct lab_conntrack_stats stats;
		int64_t count = lab_conntrack_count(&gateway->router.router, &err);
		assert_ok((int)count, err);
		assert_ok(lab_conntrack_stats(&gateway->router.router, &stats, &err), err);
		*held = (unsigned)count;
		*dropped = (unsigned)stats.drop;
		if (*held + *dropped + gateway->deleted == gateway->attempts)
			return;
	} while (lp_clock_ns() < deadline);
	fail_msg("%u SYNs made %u entries and %u were dropped", gateway->attempts,
	         *held + gateway->deleted, *dropped);
}

/* Sends SYNs until so many entries are there. */
static void fill_to(struct gateway *gateway, unsigned wanted)
{
	enum { BURST = 64 };
	unsigned held, dropped;
	settle(gateway, &held, &dropped);
	while (held < wanted) {
		for (unsigned i = 0; i < BURST && held + i < wanted; i++) {
			struct lab_addr from = own_address(gateway->attempts);
			send_syn(gateway, &from);
		}
		settle(gateway, &held, &dropped);
	}
	assert_int_equal(held, wanted);
}

/* One SYN more, whose entry is taken away again. Whether there was one. */
static bool try_one(struct gateway *gateway, unsigned *dropped)
{
	struct lp_error err = {0};
	struct lab_addr from = lab_addr("10.1.0.2", OWN - 1);
	unsigned held, now;
	send_syn(gateway, &from);
	int r = lab_conntrack_delete(&gateway->router.router, &from, &gateway->server, &err);
	if (r == -ENOENT) {
		settle(gateway, &held, &now);
		if (now > *dropped) {
			*dropped = now;
			return false;
		}
		r = lab_conntrack_delete(&gateway->router.router, &from, &gateway->server, &err);
	}
	assert_ok(r, err);
	gateway->deleted++;
	return true;
}

/* ---- the promise ---------------------------------------------------------------------------- */

/* How many of so many are refused, as a share. */
static double refused_of(struct gateway *gateway, unsigned tries)
{
	unsigned held, dropped, refused = 0;
	settle(gateway, &held, &dropped);
	for (unsigned i = 0; i < tries; i++)
		refused += !try_one(gateway, &dropped);
	return refused / (double)tries;
}

static void check_level(struct gateway *gateway, unsigned ports, unsigned percent)
{
	unsigned used = ports * percent / 100;
	struct answer answer;
	fill_to(gateway, used);
	const json_t *pool = pool_of(gateway, &answer);
	assert_non_null(pool);
	assert_int_equal(limit_figure(pool, "capacity"), ports);
	assert_int_equal(limit_figure(pool, "used"), used);
	assert_int_equal(limit_figure(pool, "headroom"), ports - used);
	assert_null(json_object_get(pool, "assumed"));
	double told = json_number_value(json_object_get(pool, "refusal_probability"));
	assert_true(json_is_number(json_object_get(pool, "refusal_probability")));
	double found = json_number_value(json_object_get(pool, "found_per_connection"));
	answer_done(&answer);

	struct lp_error err = {0};
	struct lab_conntrack_stats before, after;
	assert_ok(lab_conntrack_stats(&gateway->router.router, &before, &err), err);
	double refused = refused_of(gateway, TRIES);
	assert_ok(lab_conntrack_stats(&gateway->router.router, &after, &err), err);
	double met = (double)(after.found - before.found) / TRIES;
	note("%u ports, %u %%: refused %.2f %%, told %.2f %%; found %.1f, told %.1f", ports,
	     percent, refused * 100, told * 100, met, found);
	assert_true(fabs(refused - told) <= 0.03);
	/* those that are refused are found in use once more, when they are inserted */
	if (found > 0)
		assert_true(fabs(met - found) <= 2 + found / 5);
}

static void chance_comes_true(unsigned ports)
{
	static const unsigned levels[] = {50, 75, 90, 97, 99};
	struct lp_error err = {0};
	struct gateway gateway;
	gateway_make(&gateway);
	be_silent(&gateway);
	assert_ok(lab_router_translate(&gateway.router, FIRST, (uint16_t)(FIRST + ports - 1), &err),
	          err);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		check_level(&gateway, ports, levels[i]);
	gateway_done(&gateway);
}

static void chance_comes_true_in_a_small_range(void **state)
{
	(void)state;
	chance_comes_true(1000);
}

static void chance_comes_true_in_a_large_range(void **state)
{
	(void)state;
	chance_comes_true(28232);
}

/* In so small a range the kernel tries each: at every step the truth, up to the last one. */
static void ports_are_told_at_every_step(void **state)
{
	(void)state;
	enum { PORTS = 12 };
	struct lp_error err = {0};
	struct gateway gateway;
	struct answer answer;
	gateway_make(&gateway);
	be_silent(&gateway);
	assert_ok(lab_router_translate(&gateway.router, FIRST, FIRST + PORTS - 1, &err), err);
	for (unsigned used = 1; used <= PORTS; used++) {
		fill_to(&gateway, used);
		const json_t *pool = pool_of(&gateway, &answer);
		assert_int_equal(limit_figure(pool, "used"), used);
		assert_int_equal(limit_figure(pool, "headroom"), PORTS - used);
		assert_int_equal(limit_figure(pool, "reusable"), 0);
		double chance = json_number_value(json_object_get(pool, "refusal_probability"));
		assert_true(chance == (used == PORTS ? 1 : 0));
		json_t *scope = json_object_get(pool, "scope");
		assert_string_equal(json_string_value(json_object_get(scope, "translated")),
		                    LAB_ROUTER_OUTSIDE);
		json_t *client = json_array_get(json_object_get(pool, "clients"), 0);
		assert_string_equal(json_string_value(json_object_get(client, "address")),
		                    LAB_ROUTER_CLIENT);
		assert_int_equal(limit_figure(client, "ports"), used);
		answer_done(&answer);
		assert_true(refused_of(&gateway, 5) == (used == PORTS ? 1 : 0));
	}
	gateway_done(&gateway);
}

static void clients_are_told_by_their_ports(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct gateway gateway;
	struct answer answer;
	gateway_make(&gateway);
	be_silent(&gateway);
	assert_ok(lab_router_translate(&gateway.router, FIRST, FIRST + 199, &err), err);
	for (unsigned i = 0; i < 90; i++) {
		struct lab_addr from = own_address(i % 3 ? i : OWN_PORTS + i);
		send_syn(&gateway, &from);
	}
	unsigned held, dropped;
	settle(&gateway, &held, &dropped);
	assert_int_equal(held, 90);
	json_t *clients = json_object_get(pool_of(&gateway, &answer), "clients");
	assert_int_equal(json_array_size(clients), 2);
	assert_int_equal(limit_figure(json_array_get(clients, 0), "ports"), 60);
	assert_string_equal(
	        json_string_value(json_object_get(json_array_get(clients, 1), "address")),
	        SECOND_CLIENT);
	assert_int_equal(limit_figure(json_array_get(clients, 1), "ports"), 30);
	answer_done(&answer);
	gateway_done(&gateway);
}

/* ---- rules ---------------------------------------------------------------------------------- */

static void check_range(const char *rules, unsigned low, unsigned high, const char *assumed)
{
	struct lp_error err = {0};
	struct gateway gateway;
	struct answer answer;
	gateway_make(&gateway);
	be_silent(&gateway);
	assert_ok(lab_nft(&gateway.router.router, &err, "%s", rules), err);
	for (unsigned i = 0; i < 2; i++) {
		/* the second one finds its own port in use where that may be kept */
		struct lab_addr from = own_address(i * OWN_PORTS);
		send_syn(&gateway, &from);
	}
	unsigned held, dropped;
	settle(&gateway, &held, &dropped);
	assert_int_equal(held, 2);
	json_t *pool = pool_of(&gateway, &answer);
	if (!pool)
		fail_msg("no pool by %s", rules);
	json_t *range = json_object_get(pool, "range");
	assert_int_equal(json_integer_value(json_array_get(range, 0)), low);
	assert_int_equal(json_integer_value(json_array_get(range, 1)), high);
	assert_int_equal(limit_figure(pool, "capacity"), high - low + 1);
	assert_int_equal(limit_figure(pool, "used"), 2);
	if (assumed)
		assert_true(limit_assumes(pool, assumed));
	else
		assert_null(json_object_get(pool, "assumed"));
	answer_done(&answer);
	gateway_done(&gateway);
}

#define CHAIN "chain out { type nat hook postrouting priority srcnat; "

static void ranges_are_those_of_the_rules(void **state)
{
	(void)state;
	check_range("table ip t { " CHAIN "oifname \"outside\" masquerade; }; }", 1024, 65535,
	            NULL);
	check_range("table ip t { " CHAIN "meta l4proto tcp masquerade to :5000-5009 random; }; }",
	            5000, 5009, NULL);
	check_range("table inet t { " CHAIN
	            "meta l4proto tcp snat ip to 10.2.0.1:6000-6999 fully-random; }; }",
	            6000, 6999, NULL);
	/* in a chain that is jumped to, behind a rule for UDP */
	check_range("table ip t { chain sub { meta l4proto udp snat to 10.2.0.1:1-9; "
	            "tcp dport 80 snat to 10.2.0.1:7000-7100; }; " CHAIN "jump sub; }; }",
	            7000, 7100, NULL);
	/* two that may be it: the one whose ports are in use */
	check_range("table ip t { " CHAIN "tcp dport 81 snat to 10.2.0.1:6000-6999; "
	            "tcp dport 80 snat to 10.2.0.1:8000-8099; }; }",
	            8000, 8099, "several rules");
	/* a map can't be read for its range */
	check_range("table ip t { " CHAIN "snat to ip saddr map { 10.1.0.0/24 : 10.2.0.1 }; }; }",
	            1024, 65535, "could not be read");
}

/* ---- closing, and the other family ------------------------------------------------------------
 */

/* What is in TIME_WAIT is not in the way: many more connections than ports. */
static void closing_ports_are_reusable(void **state)
{
	(void)state;
	enum { PORTS = 40, CONNECTIONS = 120 };
	struct lp_error err = {0};
	struct gateway gateway;
	struct answer answer;
	gateway_make(&gateway);
	assert_ok(lab_router_translate(&gateway.router, FIRST, FIRST + PORTS - 1, &err), err);
	struct lab_how how = {.ns = &gateway.router.server, .from = &gateway.server};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 64));
	how = (struct lab_how){.ns = &gateway.router.client};
	struct lab_pair open = LAB_PAIR_NONE;
	must(lab_pair_open(&how, &gateway.server, listener, &open));
	for (int i = 0; i < PORTS - 1; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&how, &gateway.server, listener, &pair));
		must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	}
	json_t *pool = pool_of(&gateway, &answer);
	assert_int_equal(limit_figure(pool, "used"), 1);
	/* some took the port of one before them, and its entry away */
	int64_t entries = lab_conntrack_count(&gateway.router.router, &err);
	assert_in_range(entries, PORTS / 2, PORTS);
	assert_int_equal(limit_figure(pool, "reusable"), entries - 1);
	assert_int_equal(limit_figure(pool, "headroom"), PORTS - 1);
	assert_true(json_number_value(json_object_get(pool, "refusal_probability")) < 0.001);
	assert_true(limit_assumes(pool, "TIME_WAIT again"));
	answer_done(&answer);
	for (int i = 0; i < CONNECTIONS; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&how, &gateway.server, listener, &pair));
		must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	}
	must(lab_pair_close(&open, LAB_CLIENT_FIRST));
	gateway_done(&gateway);
}

/* ---- as a plan has it: so many open at a time, the other ports are closing --------------------
 */

/* Opens one connection. False where the router dropped its SYN. */
static bool open_one(const struct gateway *gateway, int listener, struct lab_pair *ret)
{
	const struct lab_how how = {.ns = &gateway->router.client, .options = LAB_NONBLOCK};
	struct lp_error err = {0};
	struct lab_conntrack_stats before, after;
	int64_t deadline = lp_clock_ns() + LAB_TIMEOUT_MS * INT64_C(1000000);
	assert_ok(lab_conntrack_stats(&gateway->router.router, &before, &err), err);
	ret->client = must(lab_connect(&how, &gateway->server));
	while ((ret->server = lab_accept(listener, 0)) == -EAGAIN) {
		assert_ok(lab_conntrack_stats(&gateway->router.router, &after, &err), err);
		if (after.drop > before.drop) {
			lp_close_fd(&ret->client);
			return false;
		}
		if (lp_clock_ns() > deadline)
			fail_msg("a SYN came to nothing");
	}
	must(ret->server);
	return true;
}

/* The share of SYNs that is dropped while so many connections are open, the oldest one making room.
 */
static double dropped_in_steady_state(unsigned ports, unsigned open, unsigned opens)
{
	struct lp_error err = {0};
	struct gateway gateway;
	gateway_make(&gateway);
	assert_ok(lab_router_translate(&gateway.router, FIRST, (uint16_t)(FIRST + ports - 1), &err),
	          err);
	struct lab_how how = {.ns = &gateway.router.server, .from = &gateway.server};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 64));
	struct lab_pair *pairs = calloc(open, sizeof(*pairs));
	unsigned tries = 0, dropped = 0;
	assert_non_null(pairs);
	for (unsigned i = 0; i < opens; i++) {
		struct lab_pair *pair = &pairs[i % open];
		if (i >= open)
			must(lab_pair_close(pair, LAB_CLIENT_FIRST));
		bool steady = i >= 2 * ports;
		for (tries += steady; !open_one(&gateway, listener, pair); tries += steady)
			dropped += steady;
	}
	for (unsigned i = 0; i < open; i++)
		must(lab_pair_close(&pairs[i], LAB_CLIENT_FIRST));
	free(pairs);
	gateway_done(&gateway);
	note("%u of %u ports open: %u of %u SYNs were dropped", open, ports, dropped, tries);
	return dropped / (double)tries;
}

/* Nearly never where a plan says so, and the more often the fewer are closing. */
static void what_is_closing_is_taken_by_chance(void **state)
{
	(void)state;
	enum { PORTS = 100, PLAYED = 200000 };
	static const struct {
		unsigned open, opens;
		double within;
	} levels[] = {{36, 5000, 0.002}, {80, 3000, 0.02}, {94, 12000, 0.08}};
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		double dropped = dropped_in_steady_state(PORTS, levels[i].open, levels[i].opens);
		double played = played_dropped(PORTS, levels[i].open, PLAYED);
		note("of so many as are played, %.3f %% are dropped", played * 100);
		assert_true(fabs(dropped - played) <= levels[i].within);
	}
}

static void both_families_have_pools(void **state)
{
	(void)state;
	enum { PORTS = 50, USED = 20 };
	struct lp_error err = {0};
	struct gateway gateway;
	struct answer answer;
	gateway_make(&gateway);
	const struct lab_router *router = &gateway.router;
	assert_ok(lab_address(&router->client, "out", SIX_CLIENT "/64", &err), err);
	assert_ok(lab_address(&router->router, "inside", "fd00:1::1/64", &err), err);
	assert_ok(lab_address(&router->router, "outside", SIX_OUTSIDE "/64", &err), err);
	assert_ok(lab_address(&router->server, "in", SIX_SERVER "/64", &err), err);
	assert_ok(lab_sysctl(&router->router, &err, "ipv6/conf/all/forwarding", "1"), err);
	assert_ok(lab_route(&router->client, "::/0", "fd00:1::1", NULL, &err), err);
	assert_ok(lab_nft(&router->router, &err,
	                  "table ip6 t { " CHAIN "meta l4proto tcp snat to [" SIX_OUTSIDE
	                  "]:3000-3049; }; }"),
	          err);
	gateway.server = lab_addr(SIX_SERVER, PORT);
	struct lab_how how = {.ns = &router->server, .from = &gateway.server};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 64));
	(void)listener;
	how = (struct lab_how){.ns = &router->client};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	must_count(lab_connect_many(&how, &gateway.server, USED, &fds), USED);
	json_t *pool = pool_of(&gateway, &answer);
	assert_non_null(pool);
	assert_int_equal(limit_figure(pool, "used"), USED);
	assert_int_equal(limit_figure(pool, "capacity"), PORTS);
	json_t *scope = json_object_get(pool, "scope");
	assert_string_equal(json_string_value(json_object_get(scope, "translated")), SIX_OUTSIDE);
	assert_null(json_object_get(pool, "assumed"));
	answer_done(&answer);
	/* the rest of them, and not one more */
	must_count(lab_connect_many(&how, &gateway.server, PORTS - USED, &fds), PORTS - USED);
	how.timeout_ms = 200;
	assert_int_equal(lab_connect_many(&how, &gateway.server, 1, &fds).error, ETIMEDOUT);
	gateway_done(&gateway);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ports_are_told_at_every_step),
	        cmocka_unit_test(chance_comes_true_in_a_small_range),
	        cmocka_unit_test(chance_comes_true_in_a_large_range),
	        cmocka_unit_test(clients_are_told_by_their_ports),
	        cmocka_unit_test(ranges_are_those_of_the_rules),
	        cmocka_unit_test(closing_ports_are_reusable),
	        cmocka_unit_test(what_is_closing_is_taken_by_chance),
	        cmocka_unit_test(both_families_have_pools),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
