/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules about sysctl configuration on disk; and that no remedy is a myth. */

#include "scene.h"
#include "unit.h"

static struct scene scene;

static void set(const char *file, unsigned line, const char *key, const char *value,
                const char *running)
{
	struct lp_settings *settings = &scene.snapshot->settings;
	assert_int_equal(lp_settings_add(settings, file, line, key, value), 0);
	settings->items[settings->n - 1].running = running ? strdup(running) : NULL;
	lp_settings_settle(settings);
}

static const char *evidence_with(const struct lp_finding *finding, const char *word)
{
	for (size_t i = 0; i < finding->evidence.n; i++)
		if (strstr(finding->evidence.items[i], word))
			return finding->evidence.items[i];
	return NULL;
}

static void good_configuration_is_nothing_to_tell(void **state)
{
	(void)state;
	set("/etc/sysctl.d/1.conf", 1, "net/ipv4/ip_local_port_range", "1024 65535", "1024 65535");
	set("/etc/sysctl.d/1.conf", 2, "net/ipv4/tcp_tw_reuse", "1", "1");
	set("/etc/sysctl.d/1.conf", 3, "net/ipv4/tcp_fin_timeout", "60", "60");
	set("/etc/sysctl.d/1.conf", 4, "net/ipv4/tcp_max_tw_buckets", "2000000", "2000000");
	set("/etc/sysctl.d/1.conf", 5, "net/ipv4/tcp_tw_recycle", "0", NULL);
	set("/etc/sysctl.d/1.conf", 6, "net/netfilter/nf_conntrack_max", "524288", "524288");
	set("/etc/sysctl.d/1.conf", 7, "net/ipv4/conf/all/rp_filter", "1", "2");
	scene_fine(&scene);
}

static void myths_are_named_with_file_and_line(void **state)
{
	(void)state;
	set("/etc/sysctl.d/1.conf", 7, "net/ipv4/tcp_tw_recycle", "1", NULL);
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "myth-in-sysctl-config");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_int_equal(finding->limit, LP_NO_LIMIT);
	assert_string_equal(finding->evidence.items[0],
	                    "/etc/sysctl.d/1.conf:7: net.ipv4.tcp_tw_recycle = 1: gone since Linux "
	                    "4.12; before, it broke clients behind NAT.");
	set("/etc/sysctl.conf", 2, "net/ipv4/tcp_fin_timeout", "15", "15");
	set("/etc/sysctl.conf", 3, "net/ipv4/netfilter/ip_conntrack_max", "65536", NULL);
	set("/etc/sysctl.conf", 4, "net/ipv4/ip_conntrack_max", "65536", NULL);
	set("/etc/sysctl.conf", 5, "net/ipv4/tcp_max_tw_buckets", "5000", NULL);
	scene_judge(&scene);
	finding = scene_must(&scene, "myth-in-sysctl-config");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_int_equal(finding->evidence.n, 5);
	assert_non_null(evidence_with(finding, "/etc/sysctl.conf:2: "));
	assert_int_equal(finding->remedies[0].steps.n, 5);
	assert_int_equal(scene.findings.n, 1);
}

/* Where the kernel has taken it on, it does harm now. */
static void a_myth_in_force_is_worse(void **state)
{
	(void)state;
	set("/etc/sysctl.conf", 5, "net/ipv4/tcp_max_tw_buckets", "5000", "5000");
	scene_judge(&scene);
	assert_int_equal(scene_must(&scene, "myth-in-sysctl-config")->severity, LP_WARNING);
}

static void a_line_that_is_undone_is_no_myth(void **state)
{
	(void)state;
	set("/etc/sysctl.d/1.conf", 1, "net/ipv4/tcp_fin_timeout", "15", "60");
	set("/etc/sysctl.d/2.conf", 1, "net/ipv4/tcp_fin_timeout", "60", "60");
	scene_fine(&scene);
}

static void what_another_file_undoes(void **state)
{
	(void)state;
	set("/etc/sysctl.d/1.conf", 3, "net/ipv4/ip_local_port_range", "1024 65535", "32768 60999");
	set("/etc/sysctl.d/9.conf", 8, "net/ipv4/ip_local_port_range", "32768 60999",
	    "32768 60999");
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "sysctl-config-without-effect");
	assert_int_equal(finding->severity, LP_NOTICE);
	assert_string_equal(finding->evidence.items[0],
	                    "/etc/sysctl.d/1.conf:3: net.ipv4.ip_local_port_range = 1024 65535 is "
	                    "undone by /etc/sysctl.d/9.conf:8: 32768 60999.");
	assert_int_equal(finding->evidence.n, 1);
}

static void what_the_kernel_does_not_have(void **state)
{
	(void)state;
	set("/etc/sysctl.conf", 3, "net/netfilter/nf_conntrack_max", "1000000", "262144");
	scene_judge(&scene);
	const struct lp_finding *finding = scene_must(&scene, "sysctl-config-without-effect");
	assert_non_null(evidence_with(finding, "the kernel has 262144"));
}

static void what_was_not_read_is_not_judged(void **state)
{
	(void)state;
	scene.snapshot->settings.read = false;
	scene_judge(&scene);
	assert_non_null(scene_not_judged(&scene, "myth-in-sysctl-config"));
	scene.snapshot->settings.read = true;
	scene.snapshot->settings.unread = strdup("/etc/sysctl.d/1.conf can't be read (secret)");
	set("/etc/sysctl.conf", 3, "net/ipv4/tcp_tw_recycle", "1", NULL);
	scene_judge(&scene);
	assert_non_null(scene_not_judged(&scene, "myth-in-sysctl-config"));
	scene_must(&scene, "myth-in-sysctl-config");
}

#define CASE(function) SCENE_CASE(function, scene)

UNIT_MAIN(CASE(good_configuration_is_nothing_to_tell), CASE(myths_are_named_with_file_and_line),
          CASE(a_myth_in_force_is_worse), CASE(a_line_that_is_undone_is_no_myth),
          CASE(what_another_file_undoes), CASE(what_the_kernel_does_not_have),
          CASE(what_was_not_read_is_not_judged))
