/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules about TIME_WAIT, descriptors, services and connection tracking. */

#include <stdio.h>

#include "scene.h"
#include "snapshot/nat.h"
#include "unit.h"

static struct scene scene;

/* ---- TIME_WAIT ------------------------------------------------------------------------------ */

static void time_wait_that_is_cut_short(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		char remote[32];
		(void)snprintf(remote, sizeof(remote), "10.0.1.%d", i);
		scene_pool(&scene, remote, 5000, 12000);
	}
	scene.netns->max_tw_buckets = lp_figure(48001);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "time-wait-overflow"));
	scene.netns->max_tw_buckets = lp_figure(48000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "time-wait-overflow");
	assert_int_equal(finding->severity, LP_WARNING);
	const struct lp_remedy *more = scene_remedy(finding, "more TIME_WAITs");
	assert_true(scene_becomes(more, "TIME_WAIT buckets") == 96000);
	/* some ran out since, but the counter grew */
	scene.netns->max_tw_buckets = lp_figure(60000);
	scene.netns->tcp_growth.time_wait_overflow = lp_figure(7);
	scene.snapshot->apart_s = 2;
	scene_judge(&scene);
	scene_must(&scene, "time-wait-overflow");
	scene.netns->tcp_growth.time_wait_overflow = lp_figure(0);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "time-wait-overflow"));
}

static void short_connections_to_many(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		char remote[32];
		(void)snprintf(remote, sizeof(remote), "10.0.1.%d", i);
		scene_pool(&scene, remote, 20, 9000);
	}
	scene.netns->max_tw_buckets = lp_figure(140000);
	scene_fine(&scene);
	scene.netns->max_tw_buckets = lp_figure(108000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "short-connections");
	assert_string_equal(cause->explains[0].rule->id, "time-wait-overflow");
	assert_true(scene_becomes(scene_remedy(cause, "reuse"), "TIME_WAIT buckets") == 1080);
	assert_true(scene_becomes(scene_remedy(cause, "reuse"), "opens/s") == 18);
	assert_non_null(scene_remedy(cause, "more TIME_WAITs"));
}

static void buckets_below_the_range(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 3000, 2400);
	scene.netns->max_tw_buckets = lp_figure(5000);
	scene_fine(&scene); /* low, but nobody notices */
	scene.netns->max_tw_buckets = lp_figure(4800);
	scene_judge(&scene);
	assert_int_equal(scene_must(&scene, "tw-buckets-lowered")->severity, LP_NOTICE);
	scene.netns->max_tw_buckets = lp_figure(2400);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "tw-buckets-lowered");
	assert_int_equal(cause->severity, LP_WARNING);
	assert_string_equal(cause->explains[0].rule->id, "time-wait-overflow");
	assert_true(scene_becomes(&cause->remedies[0], "TIME_WAIT buckets") == 65536);
}

/* The setting is another one in each namespace: advice is to reach the one at fault. */
static void advice_is_for_the_namespace(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		pid_t pid;
		const char *step;
	} cases[] = {
	        {"shop", 77, "ip netns exec shop sysctl -w net.ipv4.tcp_max_tw_buckets=65536"},
	        {"host", 1, "nsenter --net=/proc/1/ns/net sysctl -w net.ipv4.tcp_max_tw_buckets"},
	        {NULL, 77, "nsenter --net=/proc/77/ns/net sysctl -w net.ipv4.tcp_max_tw_buckets"},
	        {"a;b", 77, "nsenter --net=/proc/77/ns/net sysctl -w net.ipv4.tcp_max_tw_buckets"},
	        {"-n", 77, "nsenter --net=/proc/77/ns/net sysctl -w net.ipv4.tcp_max_tw_buckets"},
	        {NULL, 0, "In the namespace net:[4026531840]: sysctl -w net.ipv4.tcp_max_tw_"},
	};
	scene_pool(&scene, "10.0.0.2", 3000, 2400);
	scene.netns->max_tw_buckets = lp_figure(2400);
	scene.netns->own = false;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		free(scene.netns->name);
		scene.netns->name = cases[i].name ? strdup(cases[i].name) : NULL;
		scene.netns->pid = cases[i].pid;
		scene_judge(&scene);
		const struct lp_finding *cause = scene_must(&scene, "tw-buckets-lowered");
		const char *step = cause->remedies[0].steps.items[0];
		assert_ptr_equal(strstr(step, cases[i].step), step);
	}
	scene.netns->own = true;
	scene_judge(&scene);
	const struct lp_finding *cause = scene_must(&scene, "tw-buckets-lowered");
	assert_string_equal(cause->remedies[0].steps.items[0],
	                    "sysctl -w net.ipv4.tcp_max_tw_buckets=65536");
}

/* Where none is wanted, none is missed until one is cut short. */
static void no_buckets_at_all(void **state)
{
	(void)state;
	scene.netns->max_tw_buckets = lp_figure(0);
	scene_fine(&scene);
	assert_null(scene_limit(&scene, &lp_time_wait_buckets));
	scene.netns->tcp_counters.time_wait_overflow = lp_figure(7);
	scene_judge(&scene);
	assert_int_equal(scene_limit(&scene, &lp_time_wait_buckets)->pressure, LP_FULL);
	assert_null(scene_find(&scene, "server-closes-first"));
	const struct lp_finding *cause = scene_must(&scene, "tw-buckets-lowered");
	assert_int_equal(cause->remedies[0].relief, LP_FULL);
}

static void a_server_that_closes_first(void **state)
{
	(void)state;
	scene_client(&scene, "10.0.0.9", 500, 40000);
	scene_client(&scene, "10.0.0.8", 500, 40000);
	scene_fine(&scene);
	scene.netns->max_tw_buckets = lp_figure(100000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *finding = scene_must(&scene, "server-closes-first");
	assert_true(scene_becomes(scene_remedy(finding, "open"), "TIME_WAIT") == 800);
	scene.netns->max_tw_buckets = lp_figure(80000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	assert_string_equal(scene_must(&scene, "server-closes-first")->explains[0].rule->id,
	                    "time-wait-overflow");
}

static void reuse_that_does_nothing(void **state)
{
	(void)state;
	scene.netns->timestamps = lp_figure(0);
	scene_fine(&scene); /* tcp_tw_reuse is 2, as it comes */
	scene.netns->tw_reuse = lp_figure(1);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "tw-reuse-without-timestamps");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_true(scene_becomes(&finding->remedies[0], "seconds that TIME_WAIT holds a port") ==
	            1);
	scene.netns->timestamps = lp_figure(1);
	scene_fine(&scene);
	scene.netns->timestamps.known = false;
	scene_judge(&scene);
	assert_non_null(scene_not_judged(&scene, "tw-reuse-without-timestamps"));
}

static void syns_that_paws_rejects(void **state)
{
	(void)state;
	scene_client(&scene, "10.0.0.9", 5, 900);
	scene.netns->tcp_counters.paws_time_wait = lp_figure(999);
	scene_fine(&scene); /* of a hundred thousand */
	scene.netns->tcp_counters.paws_time_wait = lp_figure(1000);
	scene_judge(&scene);
	scene_must(&scene, "paws-behind-snat");
	scene.netns->tcp_growth.paws_time_wait = lp_figure(0);
	scene_fine(&scene); /* not any more */
	scene.netns->tcp_growth.paws_time_wait = lp_figure(1);
	scene.snapshot->apart_s = 1;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "paws-behind-snat");
	assert_true(scene_becomes(scene_remedy(finding, "close first"),
	                          "TIME_WAIT of accepted connections") == 0);
	scene.netns->tcp_counters.passive_opens.known = false;
	scene_judge(&scene);
	assert_non_null(scene_not_judged(&scene, "paws-behind-snat"));
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static struct lp_process *process(uint64_t descriptors, uint64_t limit)
{
	struct lp_process *process = lp_snapshot_add_process(scene.snapshot);
	assert_non_null(process);
	*process = (struct lp_process){.pid = 812,
	                               .command = "app",
	                               .descriptors = descriptors,
	                               .limit = limit,
	                               .hard_limit = limit};
	return process;
}

static void a_process_short_of_descriptors(void **state)
{
	(void)state;
	struct lp_process *app = process(819, 1024);
	scene_fine(&scene);
	app->descriptors = 820;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "descriptors-near");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_non_null(strstr(finding->summary, "app (812)"));
	assert_true(scene_becomes(&finding->remedies[0], "descriptors") == 65536);
	app->descriptors = 1024;
	scene_judge(&scene);
	assert_int_equal(scene_must(&scene, "descriptors-near")->severity, LP_CRITICAL);
	/* a sandbox */
	app->descriptors = app->limit = 4;
	scene_fine(&scene);
	assert_null(scene_limit(&scene, &lp_file_descriptors));
}

/* The hard limit is not lowered, and the kernel takes no more than fs.nr_open. */
static void more_descriptors_than_may_be(void **state)
{
	(void)state;
	struct lp_process *app = process(1000, 1024);
	struct lp_figure *most = &scene.snapshot->machine.nr_open;
	const struct {
		uint64_t limit, hard, most;
		const char *step, *also;
	} cases[] = {
	        {1024, 524288, 1048576, "--nofile=65536:524288", "LimitNOFILE=65536:524288"},
	        {1024, 2047, 1048576, "--nofile=65536:65536", "ulimit -n 65536"},
	        {1024, 4096, 1048576, "--nofile=4096:4096", "ulimit -n 4096"},
	        {600000, 600000, 1048576, "--nofile=1048576:1048576", "ulimit -n 1048576"},
	        {600000, 1048576, 1048576, "--nofile=1048576:1048576", "ulimit -n 1048576"},
	        {1048576, 1048576, 1048576, "--nofile=2097152:2097152", "fs.nr_open=2097152"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		app->descriptors = app->limit = cases[i].limit;
		app->hard_limit = cases[i].hard;
		*most = lp_figure(cases[i].most);
		scene_judge(&scene);
		const struct lp_finding *finding = scene_must(&scene, "descriptors-near");
		assert_non_null(scene_step(&finding->remedies[0], cases[i].step));
		assert_non_null(scene_step(&finding->remedies[0], cases[i].also));
		assert_int_equal(scene_step(&finding->remedies[0], "nr_open") != NULL, i == 5);
	}
}

static void a_system_short_of_files(void **state)
{
	(void)state;
	scene.snapshot->machine.file_allocated = lp_figure(90000);
	scene.snapshot->machine.file_max = lp_figure(100000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "descriptors-near");
	assert_non_null(strstr(finding->remedies[0].steps.items[0], "fs.file-max=200000"));
}

static void connections_that_nobody_closes(void **state)
{
	(void)state;
	struct lp_pool *pool = scene_pool(&scene, "10.0.0.2", 500, 0);
	pool->states[LP_CLOSE_WAIT] = 499;
	scene.netns->states[LP_CLOSE_WAIT] = 499;
	scene_fine(&scene); /* as a busy proxy has at any moment */
	scene.netns->states[LP_CLOSE_WAIT] = 500;
	process(900, 1024);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "close-wait-leak");
	assert_string_equal(cause->explains[0].rule->id, "descriptors-near");
	/* few are no leak */
	scene.netns->states[LP_CLOSE_WAIT] = 49;
	scene.netns->states[LP_ESTABLISHED] = 0;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "close-wait-leak"));
}

/* ---- services ------------------------------------------------------------------------------- */

static void an_accept_queue_that_is_full(void **state)
{
	(void)state;
	struct lp_listener *listener = scene_listener(&scene, "10.0.0.1", 80);
	listener->waiting = 511;
	scene_fine(&scene);
	listener->waiting = 512;
	scene.netns->somaxconn = lp_figure(511);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "accept-queue-overflow");
	assert_int_equal(finding->severity, LP_CRITICAL);
	const struct lp_remedy *longer = scene_remedy(finding, "more connections wait");
	assert_true(scene_becomes(longer, "connections that may wait") == 4097);
	assert_int_equal(longer->steps.n, 2); /* the cap has to go up too */
}

static void an_accept_queue_that_overflowed_meanwhile(void **state)
{
	(void)state;
	scene_listener(&scene, "10.0.0.1", 81)->waiting = 5;
	scene_listener(&scene, "10.0.0.1", 80)->waiting = 100;
	scene.netns->tcp_counters.listen_overflow = lp_figure(1000);
	scene_fine(&scene); /* some time */
	scene.netns->tcp_growth.listen_overflow = lp_figure(3);
	scene.snapshot->apart_s = 1;
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *finding = scene_must(&scene, "accept-queue-overflow");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_non_null(strstr(finding->summary, "10.0.0.1:80"));
}

static void a_client_out_of_ports(void **state)
{
	(void)state;
	struct lp_pool *pool = scene_client(&scene, "10.0.0.9", 51609, 0);
	scene_fine(&scene);
	pool->states[LP_ESTABLISHED] = 51610;
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "client-ports-near");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_true(scene_becomes(&finding->remedies[0], "ports of the client") == 129024);
	pool->states[LP_ESTABLISHED] = 64512;
	scene_judge(&scene);
	assert_int_equal(scene_must(&scene, "client-ports-near")->severity, LP_CRITICAL);
}

/* ---- connection tracking -------------------------------------------------------------------- */

static void track(uint64_t entries, uint64_t max, uint64_t buckets)
{
	scene.netns->conntrack_entries = lp_figure(entries);
	scene.netns->conntrack_max = lp_figure(max);
	scene.netns->conntrack_buckets = lp_figure(buckets);
	scene.netns->conntrack_time_wait_s = lp_figure(120);
}

static void a_table_that_fills_up(void **state)
{
	(void)state;
	track(79999, 100000, 100000);
	scene_fine(&scene);
	track(80000, 100000, 100000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "conntrack-near");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_true(scene_becomes(scene_remedy(finding, "more entries"), "entries") == 200000);
	assert_null(scene_remedy(finding, "sooner")); /* nothing is known to be over */
	track(95000, 100000, 100000);
	scene.snapshot->taken_at_ms = 1000000;
	scene.snapshot->log.n = 1;
	scene.snapshot->log.entries[0] =
	        (struct lp_log_entry){.what = LP_LOG_CONNTRACK_FULL, .lines = 1, .last_ms = 930000};
	scene_judge(&scene);
	scene_must(&scene, "conntrack-near"); /* it was said, but a while ago */
	scene.snapshot->log.entries[0].last_ms = 990000;
	scene_judge(&scene);
	finding = scene_must(&scene, "conntrack-full");
	assert_string_equal(finding->evidence.items[0],
	                    "The kernel logged \"table full, dropping packet\" 10 s ago.");
	scene.netns->conntrack_counters.drop = lp_figure(0); /* so it was another's, before */
	scene_judge(&scene);
	scene_must(&scene, "conntrack-near");
	scene.snapshot->log.n = 0;
	track(99999, 100000, 100000);
	scene.netns->conntrack_counters.drop = lp_figure(12);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "conntrack-near"));
	finding = scene_must(&scene, "conntrack-full");
	assert_int_equal(finding->severity, LP_CRITICAL);
}

static void entries_that_outlive_their_sockets(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 3000, 6000);
	scene_pool(&scene, "10.0.0.3", 3000, 6000);
	track(60000, 70000, 70000);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	const struct lp_finding *cause = scene_must(&scene, "conntrack-outlives-time-wait");
	assert_string_equal(cause->explains[0].rule->id, "conntrack-near");
	assert_true(scene_becomes(scene_remedy(cause, "sooner"), "entries in use") == 48000);
	assert_non_null(scene_remedy(cause, "more entries"));
	scene.netns->conntrack_time_wait_s = lp_figure(60);
	scene_judge(&scene);
	assert_null(scene_find(&scene, "conntrack-outlives-time-wait"));
	scene_must(&scene, "conntrack-near");
	scene.netns->conntrack_time_wait_s.known = false;
	scene_judge(&scene);
	assert_non_null(scene_not_judged(&scene, "conntrack-outlives-time-wait"));
}

/* One finding of the cause, with the pool, TIME_WAIT and conntrack as evidence. */
static void short_connections_explain_all_of_it(void **state)
{
	(void)state;
	scene_pool(&scene, "10.0.0.2", 40, 28192);
	scene.netns->max_tw_buckets = lp_figure(28192);
	track(57000, 60000, 60000);
	scene.netns->conntrack_counters.drop = lp_figure(0);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 2); /* the other: the buckets are fewer than the ports */
	const struct lp_finding *cause = scene_must(&scene, "short-connections");
	static const char *const symptoms[] = {"local-ports-exhausted", "port-search-slow",
	                                       "time-wait-overflow", "conntrack-near",
	                                       "conntrack-outlives-time-wait"};
	for (size_t i = 0; i < sizeof(symptoms) / sizeof(symptoms[0]); i++) {
		bool found = false;
		for (size_t k = 0; k < cause->n_explains; k++)
			found |= !strcmp(cause->explains[k].rule->id, symptoms[i]);
		if (!found)
			fail_msg("%s stands for itself", symptoms[i]);
	}
	assert_true(cause->evidence.n >= 4);
	assert_int_equal(cause->severity, LP_CRITICAL);
}

/* So many in all namespaces together. */
static void crowd(uint64_t entries, uint64_t max, uint64_t buckets)
{
	track(1, max, buckets);
	scene.snapshot->machine.conntrack_entries = lp_figure(entries);
	scene.snapshot->machine.conntrack_namespaces = 2;
}

static void a_table_with_few_buckets(void **state)
{
	(void)state;
	crowd(400000, 1000000, 100000);
	scene_fine(&scene);
	crowd(400001, 1000000, 100000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "conntrack-hash-small");
	assert_true(scene_becomes(&finding->remedies[0], "entries a chain") < 1);
	assert_non_null(strstr(finding->cause, "raised"));
	crowd(400001, 100000, 100000); /* by many namespaces: then as many buckets as entries */
	scene_judge(&scene);
	finding = scene_must(&scene, "conntrack-hash-small");
	assert_non_null(strstr(finding->cause, "each namespace"));
	assert_true(scene_becomes(&finding->remedies[0], "entries a chain") <= 2);
	scene.netns->conntrack_buckets.known = false;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "conntrack-hash-small"));
	assert_non_null(scene_not_judged(&scene, "conntrack-hash-small"));
}

/* What was seen is judged, and that not all was seen is said. */
static void a_table_that_is_not_wholly_seen(void **state)
{
	(void)state;
	crowd(1000, 100000, 100000);
	scene.snapshot->machine.conntrack_torn = true;
	scene_judge(&scene);
	assert_null(scene_find(&scene, "conntrack-hash-small"));
	assert_non_null(scene_not_judged(&scene, "conntrack-hash-small"));
	crowd(400001, 100000, 100000);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "conntrack-hash-small");
	assert_non_null(strstr(finding->evidence.items[1], "there may be more"));
}

/* ---- source NAT ----------------------------------------------------------------------------- */

/* A rule with ten ports, so many of them in use. */
static void translate(uint16_t used)
{
	struct lp_nat_pool *pool = calloc(1, sizeof(*pool));
	assert_non_null(pool);
	pool->key = (struct lp_nat_key){.translated = unit_address("192.0.2.1"),
	                                .remote = unit_address("198.51.100.9"),
	                                .remote_port = 443};
	pool->range = (struct lp_nat_range){.low = 2000, .high = 2009, .told = true};
	pool->entries = pool->translated = used;
	for (uint16_t i = 0; i < used; i++) {
		pool->few[i].client = unit_address("10.0.0.7");
		pool->few[i].port = (uint16_t)(2000 + i);
	}
	free(scene.netns->nats);
	scene.netns->nats = pool;
	scene.netns->n_nats = 1;
}

static void nat_that_runs_out_of_ports(void **state)
{
	(void)state;
	translate(7);
	scene_fine(&scene);
	translate(8);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "snat-ports-near");
	assert_int_equal(finding->severity, LP_WARNING);
	assert_true(scene_becomes(scene_remedy(finding, "second address"), "ports") == 20);
	assert_true(scene_becomes(scene_remedy(finding, "more ports"), "ports") == 64512);
	scene.netns->nats[0].range.told = false;
	scene_judge(&scene);
	assert_null(scene_remedy(scene_must(&scene, "snat-ports-near"), "more ports"));
	translate(10);
	scene_judge(&scene);
	assert_int_equal(scene.findings.n, 1);
	finding = scene_must(&scene, "snat-ports-exhausted");
	assert_int_equal(finding->severity, LP_CRITICAL);
	assert_non_null(strstr(finding->summary, "198.51.100.9:443"));
}

/* Where nothing is tracked, nothing is missing. */
static void no_tracking_is_no_gap(void **state)
{
	(void)state;
	scene_judge(&scene);
	assert_int_equal(scene.findings.n_not_judged, 1); /* the ledger is off */
}

#define CASE(function) SCENE_CASE(function, scene)

UNIT_MAIN(CASE(time_wait_that_is_cut_short), CASE(short_connections_to_many),
          CASE(buckets_below_the_range), CASE(no_buckets_at_all), CASE(advice_is_for_the_namespace),
          CASE(a_server_that_closes_first), CASE(reuse_that_does_nothing),
          CASE(syns_that_paws_rejects), CASE(a_process_short_of_descriptors),
          CASE(more_descriptors_than_may_be), CASE(a_system_short_of_files),
          CASE(connections_that_nobody_closes), CASE(an_accept_queue_that_is_full),
          CASE(an_accept_queue_that_overflowed_meanwhile), CASE(a_client_out_of_ports),
          CASE(a_table_that_fills_up), CASE(entries_that_outlive_their_sockets),
          CASE(short_connections_explain_all_of_it), CASE(a_table_with_few_buckets),
          CASE(a_table_that_is_not_wholly_seen), CASE(nat_that_runs_out_of_ports),
          CASE(no_tracking_is_no_gap))
