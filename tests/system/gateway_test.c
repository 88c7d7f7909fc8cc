/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Real programs behind a router that translates: wrk to nginx, redis-benchmark to redis-server.
 * What is told of SNAT ports is counted by hand with ss.
 */

#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>

#include "ask.h"
#include "base/clock.h"
#include "site.h"

enum {
	FIRST = 2000,
	PORTS = 200,
	WEB_PORT = 8080,
	REDIS_PORT = 6379,
	WEB_CLIENTS = 60,
	REDIS_CLIENTS = 80,
	SHORT = 2000, /* connections, ten times the ports */
};

struct gateway {
	struct lab_router router;
	struct lab_child nginx, redis, load;
};

static int setup(void **state)
{
	static struct gateway gateway;
	static struct lab_mounts mounts;
	struct lp_error err = {0};
	gateway = (struct gateway){LAB_ROUTER_NONE, LAB_CHILD_NONE, LAB_CHILD_NONE, LAB_CHILD_NONE};
	*state = &gateway;
	struct lab_router *router = &gateway.router;
	assert_ok(lab_private_mounts(&mounts, &err), err);
	must(mount("lab", "/mnt", "tmpfs", 0, NULL));
	assert_ok(lab_ns_make(&router->client, &err), err);
	assert_ok(lab_ns_make(&router->router, &err), err);
	assert_ok(lab_ns_make(&router->server, &err), err);
	assert_ok(lab_router_join(router, &err), err);
	assert_ok(lab_nft(&router->router, &err,
	                  "table ip t { chain out { type nat hook postrouting priority srcnat; "
	                  "oifname \"outside\" meta l4proto tcp masquerade to :%d-%d; }; }",
	                  FIRST, FIRST + PORTS - 1),
	          err);
	site_nginx(&router->server, "/mnt/web",
	           "server { listen " LAB_ROUTER_SERVER ":8080; keepalive_requests 100000000;\n"
	           "location / { return 200 \"ok\"; } }\n",
	           &gateway.nginx);
	_cleanup_(lab_leave) int home = must(lab_enter(&router->server));
	(void)home;
	const char *argv[] = {"redis-server",
	                      "--bind",
	                      LAB_ROUTER_SERVER,
	                      "--protected-mode",
	                      "no",
	                      "--save",
	                      "",
	                      "--dir",
	                      "/mnt",
	                      NULL};
	must(lab_spawn(&gateway.redis, argv));
	site_wait(&router->server, LAB_ROUTER_SERVER, WEB_PORT);
	site_wait(&router->server, LAB_ROUTER_SERVER, REDIS_PORT);
	return 0;
}

static int teardown(void **state)
{
	struct gateway *gateway = *state;
	lab_child_stop(&gateway->load);
	lab_child_stop(&gateway->nginx);
	lab_child_stop(&gateway->redis);
	lab_router_done(&gateway->router);
	return 0;
}

static void load(struct gateway *gateway, const char *const argv[])
{
	_cleanup_(lab_leave) int home = must(lab_enter(&gateway->router.client));
	(void)home;
	must(lab_spawn(&gateway->load, argv));
}

/* Connections that stand on the server's side, all from the router, by ports of the range. */
static unsigned standing(const struct gateway *gateway, unsigned port)
{
	char at[64];
	(void)snprintf(at, sizeof(at), LAB_ROUTER_SERVER ":%u", port);
	const char *argv[] = {"ss", "-Htn", "state", "established", "src", at, NULL};
	_cleanup_(lp_free_ptr) char *text = site_output(&gateway->router.server, argv);
	unsigned n = 0;
	for (const char *line = text; (line = strstr(line, LAB_ROUTER_OUTSIDE ":2")); line++)
		n++;
	return n;
}

/* Of a client's that looked first, and has gone: what the server still has to close. */
static bool is_closing(const struct gateway *gateway, unsigned port)
{
	char at[64];
	(void)snprintf(at, sizeof(at), LAB_ROUTER_SERVER ":%u", port);
	const char *argv[] = {"ss",          "-Htn",    "state",     "connected", "exclude",
	                      "established", "exclude", "time-wait", "src",       at,
	                      NULL};
	_cleanup_(lp_free_ptr) char *text = site_output(&gateway->router.server, argv);
	return *text;
}

static json_t *pool_of(const struct gateway *gateway, unsigned port, struct answer *answer)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&gateway->router.router));
	(void)home;
	*answer = ask_raw("status", "--json", "--netns", "self", "--kind", "snat-ports", NULL);
	assert_int_equal(answer->status, 0);
	return limit_must(answer, "snat-ports", 0,
	                  json_pack("{s:s,s:s,s:i}", "translated", LAB_ROUTER_OUTSIDE, "remote",
	                            LAB_ROUTER_SERVER, "remote_port", (int)port));
}

static void wait_standing(const struct gateway *gateway, unsigned port, unsigned wanted)
{
	int64_t deadline = lp_clock_ns() + INT64_C(20000000000);
	unsigned n;
	while ((n = standing(gateway, port)) != wanted || is_closing(gateway, port)) {
		if (lp_clock_ns() > deadline)
			fail_msg("%u of %u connections stand", n, wanted);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
}

/* Under load, with connections that stay: as many ports as ss counts connections. */
static void check_load(struct gateway *gateway, unsigned port, unsigned clients)
{
	struct answer answer;
	wait_standing(gateway, port, clients);
	json_t *pool = pool_of(gateway, port, &answer);
	assert_int_equal(limit_figure(pool, "used"), clients);
	assert_int_equal(limit_figure(pool, "capacity"), PORTS);
	assert_null(json_object_get(pool, "exact"));
	json_t *client = json_array_get(json_object_get(pool, "clients"), 0);
	assert_string_equal(json_string_value(json_object_get(client, "address")),
	                    LAB_ROUTER_CLIENT);
	assert_in_range(limit_figure(client, "ports"), clients, PORTS);
	answer_done(&answer);
	assert_int_equal(standing(gateway, port), clients);
	lab_child_stop(&gateway->load);
}

static void wrk_through_the_router(void **state)
{
	const char *argv[] = {"wrk", "-t1", "-c60", "-d60s", "http://" LAB_ROUTER_SERVER ":8080/",
	                      NULL};
	load(*state, argv);
	check_load(*state, WEB_PORT, WEB_CLIENTS);
}

static void redis_clients_through_the_router(void **state)
{
	const char *argv[] = {"redis-benchmark",
	                      "-h",
	                      LAB_ROUTER_SERVER,
	                      "-c",
	                      "80",
	                      "-n",
	                      "1000000000",
	                      "-q",
	                      "-t",
	                      "get",
	                      NULL};
	load(*state, argv);
	check_load(*state, REDIS_PORT, REDIS_CLIENTS);
}

/* A connection for each request, ten times as many as ports: those in TIME_WAIT are taken again. */
static void short_connections_through_the_router(void **state)
{
	struct gateway *gateway = *state;
	struct answer answer;
	const char *argv[] = {"redis-benchmark",
	                      "-h",
	                      LAB_ROUTER_SERVER,
	                      "-k",
	                      "0",
	                      "-c",
	                      "4",
	                      "-n",
	                      "2000",
	                      "-q",
	                      "-t",
	                      "get",
	                      NULL};
	_cleanup_(lp_free_ptr) char *text = site_output(&gateway->router.client, argv);
	assert_non_null(strstr(text, "requests per second"));
	json_t *pool = pool_of(gateway, REDIS_PORT, &answer);
	unsigned used = limit_figure(pool, "used"), closing = limit_figure(pool, "reusable");
	note("%d short connections: %u ports used, %u closing", SHORT, used, closing);
	assert_in_range(used + closing, PORTS / 2, PORTS);
	assert_in_range(closing, PORTS / 2, PORTS);
	answer_done(&answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrk_through_the_router),
	        cmocka_unit_test(redis_clients_through_the_router),
	        cmocka_unit_test(short_connections_through_the_router),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
