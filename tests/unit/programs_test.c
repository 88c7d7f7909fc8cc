/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is known of programs: each entry is whole, recognised, documented, and no myth. */

#include <stdio.h>

#include "finding/programs.h"
#include "scene.h"
#include "snapshot/owners.h"
#include "unit.h"

static void check_step(const struct lp_advice *advice, const char *step)
{
	static const char *const myths[] = {"recycle", "fin_timeout", "LINGER", "linger",
	                                    "max_tw_buckets"};
	if (!step)
		return;
	size_t length = strlen(step);
	if (length < 8 || strchr(step, '!') || strchr(step, '\n') || strstr(step, "  "))
		fail_msg("%s: \"%s\"", advice->name, step);
	for (size_t i = 0; i < sizeof(myths) / sizeof(myths[0]); i++)
		if (strstr(step, myths[i]))
			fail_msg("%s advises a myth: \"%s\"", advice->name, step);
}

static void every_entry_is_whole(void **state)
{
	(void)state;
	size_t n = 0;
	for (const struct lp_advice *advice = lp_advice_list; advice->name; advice++, n++) {
		bool says = false;
		if (!advice->names[0] && !advice->ports[0] && !advice->runtime)
			fail_msg("%s is never recognised", advice->name);
		if (!advice->documented || strncmp(advice->documented, "https://", 8) != 0 ||
		    strchr(advice->documented, ' '))
			fail_msg("%s: not documented", advice->name);
		const char *const steps[] = {
		        advice->reuse[0],  advice->reuse[1], advice->reuse[2], advice->serve,
		        advice->no_port,   advice->sources,  advice->backlog,  advice->descriptors,
		        advice->conntrack, advice->translate};
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			check_step(advice, steps[i]);
			says |= steps[i] != NULL;
		}
		if (!says)
			fail_msg("%s: nothing to say", advice->name);
		assert_ptr_equal(lp_advice_find(advice->name), advice);
		if (advice->ports[0])
			assert_ptr_equal(lp_advice_for_port(advice->ports[0]), advice);
	}
	assert_true(n >= 14);
}

static const char *recognised(const char *command, const char *executable, enum lp_runtime runtime)
{
	struct lp_program program = {.pid = 1, .runtime = runtime};
	(void)snprintf(program.executable, sizeof(program.executable), "%s", executable);
	const struct lp_advice *advice = lp_advice_for(command, &program);
	return advice ? advice->name : "";
}

static void programs_are_recognised(void **state)
{
	(void)state;
	assert_string_equal(recognised("nginx", "nginx", LP_RUNTIME_NATIVE), "nginx");
	assert_string_equal(recognised("worker", "haproxy", LP_RUNTIME_NATIVE), "haproxy");
	assert_string_equal(recognised("wrk:worker_0", "envoy", LP_RUNTIME_NATIVE), "Envoy");
	assert_string_equal(recognised("traefik", "traefik", LP_RUNTIME_GO), "Go");
	assert_string_equal(recognised("kube-proxy", "kube-proxy", LP_RUNTIME_GO), "kube-proxy");
	assert_string_equal(recognised("http-nio-8080", "java", LP_RUNTIME_JAVA), "Java");
	assert_string_equal(recognised("gunicorn", "python3.11", LP_RUNTIME_PYTHON), "Python");
	assert_string_equal(recognised("node", "node", LP_RUNTIME_NODE), "Node.js");
	assert_string_equal(recognised("php-fpm8.2", "php-fpm8.2", LP_RUNTIME_PHP), "PHP");
	assert_string_equal(recognised("wget", "wget", LP_RUNTIME_NATIVE), "");
	assert_null(lp_advice_for("wget", NULL));
	assert_string_equal(lp_advice_for("nginx", NULL)->name, "nginx");
	assert_string_equal(lp_advice_for_port(5432)->name, "PostgreSQL client");
	assert_null(lp_advice_for_port(80));
}

/* ---- in findings ---------------------------------------------------------------------------- */

static struct scene scene;

static void own(const struct lp_pool *pool, pid_t pid, const char *command, const char *cgroup)
{
	struct lp_snapshot *snapshot = scene.snapshot;
	snapshot->owners = calloc(1, sizeof(*snapshot->owners));
	assert_non_null(snapshot->owners);
	snapshot->n_owners = 1;
	struct lp_owner *owner = calloc(1, sizeof(*owner));
	assert_non_null(owner);
	*owner = (struct lp_owner){.pid = pid, .cgroup = cgroup ? strdup(cgroup) : NULL};
	(void)snprintf(owner->command, sizeof(owner->command), "%s", command);
	snapshot->owners[0] = (struct lp_pool_owners){.pool = pool, .items = owner, .n = 1};
}

static void run(pid_t pid, const char *executable, enum lp_runtime runtime)
{
	struct lp_snapshot *snapshot = scene.snapshot;
	snapshot->programs = calloc(1, sizeof(*snapshot->programs));
	assert_non_null(snapshot->programs);
	snapshot->n_programs = 1;
	snapshot->programs[0] = (struct lp_program){.pid = pid, .runtime = runtime};
	(void)snprintf(snapshot->programs[0].executable, sizeof(snapshot->programs[0].executable),
	               "%s", executable);
}

static void the_remedy_is_in_the_programs_words(void **state)
{
	(void)state;
	scene_make(&scene);
	own(scene_pool(&scene, "10.0.0.2", 0, 27000), 812, "nginx", "/system.slice/nginx.service");
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "short-connections");
	assert_non_null(strstr(finding->summary, "nginx (nginx.service) opens 450.0"));
	const struct lp_remedy *reuse = scene_remedy(finding, "reuse");
	assert_non_null(scene_step(reuse, "nginx: In the upstream block: keepalive 64;"));
	assert_non_null(scene_step(reuse, "https://nginx.org/"));
	assert_non_null(scene_step(scene_remedy(finding, "second"), "nginx: split_clients"));
	scene_done(&scene);
}

static void a_go_program_is_told_by_its_executable(void **state)
{
	(void)state;
	scene_make(&scene);
	own(scene_pool(&scene, "10.0.0.2", 0, 27000), 812, "api", NULL);
	run(812, "api", LP_RUNTIME_GO);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "short-connections");
	assert_non_null(strstr(finding->summary, "api (812) opens"));
	assert_non_null(scene_step(scene_remedy(finding, "reuse"), "MaxIdleConnsPerHost"));
	scene_done(&scene);
}

static void the_port_tells_the_service(void **state)
{
	(void)state;
	scene_make(&scene);
	scene_pool(&scene, "10.0.0.2", 0, 27000)->key.port = 6379;
	scene_judge(&scene);
	const struct lp_remedy *reuse =
	        scene_remedy(scene_must(&scene, "short-connections"), "reuse");
	assert_non_null(scene_step(reuse, "Redis: a pool"));
	scene_done(&scene);
}

static void envoy_beside_istios_agent_is_istio(void **state)
{
	(void)state;
	scene_make(&scene);
	own(scene_pool(&scene, "10.0.0.2", 0, 27000), 812, "envoy", NULL);
	scene_judge(&scene);
	assert_non_null(scene_step(scene_remedy(scene_must(&scene, "short-connections"), "reuse"),
	                           "Envoy: "));
	struct lp_process *agent = lp_snapshot_add_process(scene.snapshot);
	*agent = (struct lp_process){.pid = 7, .command = "pilot-agent", .limit = 1024};
	scene_judge(&scene);
	assert_non_null(scene_step(scene_remedy(scene_must(&scene, "short-connections"), "reuse"),
	                           "Istio: In the DestinationRule"));
	scene_done(&scene);
}

static void who_sets_conntrack_max_is_told(void **state)
{
	(void)state;
	scene_make(&scene);
	scene.netns->conntrack_entries = lp_figure(90);
	scene.netns->conntrack_max = scene.netns->conntrack_buckets = lp_figure(100);
	scene.netns->conntrack_time_wait_s = lp_figure(120);
	scene_judge(&scene);
	const struct lp_remedy *more =
	        scene_remedy(scene_must(&scene, "conntrack-near"), "more entries");
	assert_null(scene_step(more, "kube-proxy"));
	struct lp_process *proxy = lp_snapshot_add_process(scene.snapshot);
	*proxy = (struct lp_process){.pid = 7, .command = "kube-proxy", .limit = 1024};
	scene_judge(&scene);
	more = scene_remedy(scene_must(&scene, "conntrack-near"), "more entries");
	assert_non_null(scene_step(more, "maxPerCore"));
	scene_done(&scene);
}

UNIT_MAIN(cmocka_unit_test(every_entry_is_whole), cmocka_unit_test(programs_are_recognised),
          cmocka_unit_test(the_remedy_is_in_the_programs_words),
          cmocka_unit_test(a_go_program_is_told_by_its_executable),
          cmocka_unit_test(the_port_tells_the_service),
          cmocka_unit_test(envoy_beside_istios_agent_is_istio),
          cmocka_unit_test(who_sets_conntrack_max_is_told))
