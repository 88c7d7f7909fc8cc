/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules about local ports, and how findings are put together. */

#include <stdio.h>

#include "scene.h"
#include "snapshot/ledger.h"
#include "unit.h"

static struct scene scene;

static void a_busy_machine_in_health_has_none(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 400, 9000);
	scene_pool(&scene, "10.0.0.3", 20000, 100);
	scene_client(&scene, "10.0.0.9", 30000, 2000);
	scene_listener(&scene, "0.0.0.0", 80)->waiting = 3;
	scene_fine(&scene);
	assert_int_equal(scene.findings.n_not_judged, 1);
	assert_string_equal(scene_not_judged(&scene, "connects-refused"),
	                    "the ledger is off (lastport ledger on)");
}

static void a_pool_near_its_end(void **state)
{
	(void)state;
	struct lp_pool *pool = scene_pool(&scene, "10.0.0.2", 22585, 0);
	scene_fine(&scene); /* 79.99 % */
	pool->states[LP_ESTABLISHED]++;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "local-ports-near");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_int_equal(scene.findings.n, 1);
	assert_ptr_equal(scene.limits.items[finding->limit].pool, pool);
	/* nothing is over, so keeping connections open or taking TIME_WAITs would change nothing */
	assert_null(scene_remedy(finding, "reuse"));
	assert_null(scene_remedy(finding, "TIME_WAITs again"));
	assert_non_null(scene_remedy(finding, "second address"));
}

static void a_pool_at_its_end(void **state)
{
	(void)state;
	struct lp_pool *pool = scene_pool(&scene, "10.0.0.2", 28231, 0);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "local-ports-exhausted"));
	pool->states[LP_ESTABLISHED]++;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "local-ports-near"));
	const struct lp_finding *finding = scene_must(&scene, "local-ports-exhausted");
	assert_int_equal(finding->severity, LP_CRITICAL);
	assert_non_null(strstr(finding->summary, "All 28,232"));
	assert_non_null(strstr(finding->summary, "10.0.0.2:80"));
}

static void no_port_at_all_is_said_once(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 5, 0);
	scene.netns->has_ipv6 = true;
	scene.netns->held = 28232;
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	assert_non_null(strstr(scene_must(&scene, "local-ports-exhausted")->cause, "32768"));
}

/* The cause is told, with its symptom as evidence, and the symptom keeps its id. */
static void short_connections_explain_the_pool(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 40, 28192);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "short-connections");
	assert_ptr_equal(cause, &scene.findings.items[0]);
	assert_int_equal(cause->severity, LP_CRITICAL);
	assert_int_equal(cause->n_explains, 2);
	assert_string_equal(cause->explains[0].rule->id, "local-ports-exhausted");
	assert_string_equal(cause->explains[1].rule->id, "port-search-slow");
	bool told = false;
	for (size_t i = 0; i < cause->evidence.n; i++)
		told |= !strcmp(cause->evidence.items[i], cause->explains[0].summary);
	assert_true(told);
}

/* Connections that stay are no short ones, whatever TIME_WAIT there is besides. */
static void long_connections_are_not_short(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 12000, 16232);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "short-connections"));
	assert_true(scene_must(&scene, "local-ports-exhausted") != NULL);
}

static void remedies_tell_what_they_do(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 0, 27000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "short-connections");
	const struct lp_remedy *reuse = scene_remedy(finding, "reuse");
	assert_ptr_equal(reuse, &finding->remedies[0]); /* helps most, risks nothing */
	assert_true(scene_becomes(reuse, "opens/s") == 4.5);
	assert_true(scene_becomes(reuse, "TIME_WAIT") == 270);
	assert_string_equal(reuse->effect, "opens/s 450 → 4.5, TIME_WAIT 27,000 → 270");
	const struct lp_remedy *second = scene_remedy(finding, "second");
	assert_true(scene_becomes(second, "ports") == 56464);
	const struct lp_remedy *wider = scene_remedy(finding, "Widen");
	assert_true(scene_becomes(wider, "ports") == 55296);
	const struct lp_remedy *again = scene_remedy(finding, "TIME_WAITs again");
	assert_true(scene_becomes(again, "ports in use") == 450);
	assert_true(scene_becomes(again, "opens/s that last") == 28232);
	for (size_t i = 1; i < finding->n_remedies; i++)
		assert_true(finding->remedies[i - 1].relief > 0);
}

static void a_wider_range_spares_listeners(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 0, 27000);
	scene_listener(&scene, "0.0.0.0", 11211);
	scene_listener(&scene, "::", 11211);
	scene_listener(&scene, "0.0.0.0", 443);
	scene_judge(&scene);
	const struct lp_remedy *wider =
	        scene_remedy(scene_must(&scene, "short-connections"), "Widen");
	assert_int_equal(wider->steps.n, 2);
	assert_non_null(strstr(wider->steps.items[0], "add 11211 to"));
	/* there is nothing to widen */
	scene.netns->range_low.n = 10240;
	scene.netns->range_high.n = 65535;
	scene.netns->pools[0].states[LP_TIME_WAIT] = 52000;
	scene_judge(&scene);
	assert_null(scene_remedy(scene_must(&scene, "short-connections"), "Widen"));
}

static void reuse_of_time_wait_is_advised_where_it_is_off(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 0, 27000);
	scene.netns->timestamps = lp_figure(0);
	scene_judge(&scene);
	const struct lp_remedy *again =
	        scene_remedy(scene_must(&scene, "short-connections"), "TIME_WAITs again");
	assert_non_null(strstr(again->steps.items[0], "tcp_timestamps=1"));
	scene.netns->tw_reuse = lp_figure(1);
	scene_judge(&scene);
	assert_null(scene_remedy(scene_must(&scene, "short-connections"), "TIME_WAITs again"));
}

static void what_is_missing_is_listed(void **state)
{
	(void)state;
	scene.netns->sockets_read = false;
	scene_judge(&scene);
	assert_string_equal(scene_not_judged(&scene, "local-ports-near"),
	                    "the sockets could not be read");
	scene.netns->sockets_read = true;
	scene.netns->range_low.known = false;
	scene_judge(&scene);
	assert_string_equal(scene_not_judged(&scene, "short-connections"),
	                    "ip_local_port_range is not known");
	/* one of two namespaces */
	struct lp_netns *other = lp_snapshot_add_netns(scene.snapshot);
	assert_non_null(other);
	scene.netns = &scene.snapshot->netns[0];
	other->sockets_read = true;
	other->range_low = other->range_high = lp_figure(1000);
	scene_judge(&scene);
	assert_string_equal(scene_not_judged(&scene, "short-connections"),
	                    "ip_local_port_range is not known in 1 of 2 namespaces");
}

static void many_alike_are_counted(void **state)
{
	(void)state;
	for (int i = 0; i < LP_FINDINGS_A_RULE + 4; i++) {
		char remote[32];
		(void)snprintf(remote, sizeof(remote), "10.0.1.%d", i);
		scene_pool(&scene, remote, 28000, 0);
	}
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, LP_FINDINGS_A_RULE);
	assert_int_equal(scene.findings.left_out, 4);
}

static void only_one_kind_is_judged(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 28000, 0);
	scene_judge(&scene);
	const struct lp_facts facts = {
	        .snapshot = scene.snapshot, .limits = &scene.limits, .forecasts = scene.forecasts};
	struct lp_findings findings;
	assert_int_equal(lp_findings_judge(&facts, &lp_tcp_memory, &findings), 0);
	assert_int_equal(findings.n, 0);
	lp_findings_done(&findings);
	assert_int_equal(lp_findings_judge(&facts, &lp_local_ports, &findings), 0);
	assert_int_equal(findings.n, 1);
	lp_findings_done(&findings);
}

static void a_search_that_takes_a_cpu(void **state)
{
	(void)state;
	/* half of the pool: below it there is no search */
	struct lp_pool *pool = scene_pool(&scene, "10.0.0.2", 5000, 9115);
	scene_fine(&scene);
	pool->states[LP_ESTABLISHED] = 5100;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "port-search-slow");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_ptr_equal(&scene.findings.items[0], finding); /* too many stay to be short ones */
	assert_true(scene_becomes(scene_remedy(finding, "port range"), "% of a CPU") <= 1);
}

static void a_search_now_and_then_is_nothing(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 15000, 1500);
	scene_fine(&scene);
}

static void short_connections_explain_the_search(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 100, 15000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "short-connections");
	assert_string_equal(cause->explains[0].rule->id, "port-search-slow");
	assert_non_null(scene_remedy(cause, "port range"));
}

/* The ports of one address as bind() finds them. */
static struct lp_bind_address *bind_address(uint32_t taken)
{
	scene.netns->binds = calloc(1, sizeof(*scene.netns->binds));
	assert_non_null(scene.netns->binds);
	scene.netns->n_binds = 1;
	scene.netns->binds[0] =
	        (struct lp_bind_address){.address = unit_address("10.0.0.1"), .taken = taken};
	return &scene.netns->binds[0];
}

static void connections_that_were_bound_first(void **state)
{
	(void)state;
	struct lp_bind_address *bind = bind_address(25000);
	/* plain connect() fills them as well, and binds nothing */
	for (int i = 0; i < 5; i++) {
		char remote[32];
		(void)snprintf(remote, sizeof(remote), "10.0.1.%d", i);
		scene_pool(&scene, remote, 5000, 0);
	}
	scene_fine(&scene);
	for (int i = 0; i < 5; i++)
		scene.netns->pools[i].late_ports = 2500;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "bind-before-connect");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_non_null(strstr(finding->summary, "10.0.0.1"));
	assert_true(scene_becomes(scene_remedy(finding, "without a port"),
	                          "ports for each destination") == 28232);
	bind->taken = 28232;
	scene_judge(&scene);
	assert_int_equal(scene_must(&scene, "bind-before-connect")->severity, LP_CRITICAL);
	bind->taken = 20000;
	scene_fine(&scene);
}

/* Programs in the kernel tell it, and then nothing is guessed. */
static void connections_known_to_be_bound(void **state)
{
	(void)state;
	(void)bind_address(25000);
	scene.netns->held_exact = true;
	scene_pool(&scene, "10.0.0.2", 1000, 0)->late_ports = 1000;
	scene_fine(&scene);
	scene.netns->held = scene.netns->held_by_connections = 3000;
	scene_judge(&scene);
	scene_must(&scene, "bind-before-connect");
}

static void a_range_that_takes_a_service_in(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 5, 0);
	scene_listener(&scene, "0.0.0.0", 8080);
	scene_listener(&scene, "0.0.0.0", 40000); /* may have got it by chance */
	scene_fine(&scene);
	scene.netns->range_low.n = 1024;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "range-overlaps-listener");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_non_null(strstr(finding->summary, ": 8080."));
	scene.netns->listeners[0].reserved = true;
	scene_fine(&scene);
	scene.netns->listeners[0].reserved = false;
	scene.netns->n_pools = 0; /* nobody connects */
	scene_fine(&scene);
}

static void an_odd_range_matters_where_ports_do(void **state)
{
	(void)state;
	struct lp_pool *pool = scene_pool(&scene, "10.0.0.2", 9000, 0);
	scene.netns->range_high.n = 60998;
	scene_fine(&scene);
	pool->states[LP_ESTABLISHED] = 28000;
	scene_pool(&scene, "10.0.0.3", 28000, 0);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "range-bounds-same-parity");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_int_equal(scene.findings.n, 3); /* once, beside both pools */
	scene.netns->range_high.n = 60999;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "range-bounds-same-parity"));
}

/* Refused so many times since a minute before, the last time `ago_ms` before the look. */
static struct lp_ledger_refusal *refuse(const char *remote, uint64_t n, int64_t ago_ms)
{
	struct lp_ledger_facts *ledger = calloc(1, sizeof(*ledger));
	assert_non_null(ledger);
	ledger->refusals = calloc(1, sizeof(*ledger->refusals));
	assert_non_null(ledger->refusals);
	ledger->n_refusals = 1;
	ledger->refusals[0] = (struct lp_ledger_refusal){
	        .party = {.netns = lp_netns_id(scene.netns), .pid = 812, .command = "nginx"},
	        .remote = unit_address(remote),
	        .port = 80,
	        .refused = n,
	        .first_ms = 940000,
	        .last_ms = 1000000 - ago_ms};
	scene.snapshot->taken_at_ms = 1000000;
	lp_ledger_facts_free(scene.snapshot->ledger);
	scene.snapshot->ledger = ledger;
	return &ledger->refusals[0];
}

static void connects_that_found_no_port(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 28232, 0);
	struct lp_ledger_refusal *refusal = refuse("10.0.0.2", 57, 2000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *finding = scene_must(&scene, "connects-refused");
	assert_string_equal(finding->summary,
	                    "57 connects to 10.0.0.2:80 found no port, the last 2 s ago.");
	assert_string_equal(finding->explains[0].rule->id, "local-ports-exhausted");
	assert_null(scene_not_judged(&scene, "connects-refused"));
	refusal->last_ms = 1000000 - 61000;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "connects-refused"));
	refusal->last_ms = 999000;
	refusal->party.netns.inode++; /* elsewhere */
	scene_judge(&scene);
	assert_null(scene_find(&scene, "connects-refused"));
	scene.netns->cookie = 4097;
	refusal->party.netns = lp_netns_id(scene.netns);
	scene_judge(&scene);
	scene_must(&scene, "connects-refused");
	refusal->party.netns.cookie++; /* one that had this inode before */
	scene_judge(&scene);
	assert_null(scene_find(&scene, "connects-refused"));
}

/* The pool is gone, or somebody is refused by a port of his own. */
static void a_refusal_without_a_pool(void **state)
{
	(void)state;
	refuse("10.0.0.2", 1, 0)->why = LP_REFUSAL_BOUND_PORT;
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	assert_non_null(strstr(scene_must(&scene, "connects-refused")->cause, "bind()"));
	refuse("fd00::2", 1, 0);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "connects-refused")); /* no IPv6 here */
}

static void short_connections_explain_refusals(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 0, 28232);
	refuse("10.0.0.2", 57, 2000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	assert_string_equal(scene.findings.items[0].rule->id, "short-connections");
	scene_must(&scene, "connects-refused");
}

static void the_ledger_measures_the_search(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 5100, 9115);
	struct lp_ledger_facts *ledger = calloc(1, sizeof(*ledger));
	assert_non_null(ledger);
	ledger->searches = calloc(1, sizeof(*ledger->searches));
	assert_non_null(ledger->searches);
	ledger->n_searches = 1;
	ledger->searches[0] = (struct lp_ledger_search_times){
	        .netns = lp_netns_id(scene.netns), .remote = unit_address("10.0.0.2"), .port = 80};
	ledger->searches[0].recent[4] = 1000; /* less than 16 us */
	scene.snapshot->ledger = ledger;
	scene_fine(&scene); /* the program has named its range */
	ledger->searches[0].recent[4] = 0;
	ledger->searches[0].recent[12] = 1000; /* less than 4 ms */
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "port-search-slow");
	assert_non_null(strstr(finding->evidence.items[0], "ledger"));
	scene.netns->cookie = 4097;
	ledger->searches[0].netns.cookie = 1; /* of one that had this inode before */
	scene_judge(&scene);
	finding = scene_must(&scene, "port-search-slow"); /* by what is known without it */
	assert_null(strstr(finding->evidence.items[0], "ledger"));
}

#define CASE(function) SCENE_CASE(function, scene)

UNIT_MAIN(CASE(a_busy_machine_in_health_has_none), CASE(a_pool_near_its_end),
          CASE(a_pool_at_its_end), CASE(no_port_at_all_is_said_once),
          CASE(short_connections_explain_the_pool), CASE(long_connections_are_not_short),
          CASE(remedies_tell_what_they_do), CASE(a_wider_range_spares_listeners),
          CASE(reuse_of_time_wait_is_advised_where_it_is_off), CASE(what_is_missing_is_listed),
          CASE(many_alike_are_counted), CASE(only_one_kind_is_judged),
          CASE(a_search_that_takes_a_cpu), CASE(a_search_now_and_then_is_nothing),
          CASE(short_connections_explain_the_search), CASE(connections_that_were_bound_first),
          CASE(connections_known_to_be_bound), CASE(a_range_that_takes_a_service_in),
          CASE(an_odd_range_matters_where_ports_do), CASE(connects_that_found_no_port),
          CASE(a_refusal_without_a_pool), CASE(short_connections_explain_refusals),
          CASE(the_ledger_measures_the_search))
