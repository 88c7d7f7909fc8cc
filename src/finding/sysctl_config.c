/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What sysctl configuration on disk says: myth-in-sysctl-config, what never did what it is set for;
 * sysctl-config-without-effect, what the kernel does not have although a file says so.
 */

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "finding/rules.h"
#include "limit/kinds.h"

static const struct lp_settings *settings_of(const struct lp_judging *judging)
{
	return &judging->facts->snapshot->settings;
}

/* "net.ipv4.tcp_tw_reuse", as people write it. */
static const char *dotted(const char *key, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s", key);
	for (char *c = buf; *c; c++)
		if (*c == '/')
			*c = '.';
	return buf;
}
#define TEXT_KEY(key) dotted((key), (char[128]){0}, 128)

/* ---- myths ---------------------------------------------------------------------------------- */

static bool value_of(const struct lp_setting *setting, uint64_t *ret)
{
	return lp_number_whole(setting->value, UINT64_MAX, ret) == 0;
}

static bool is_on(const struct lp_judging *judging, const struct lp_setting *setting)
{
	uint64_t n;
	(void)judging;
	return !value_of(setting, &n) || n != 0;
}

static bool is_always(const struct lp_judging *judging, const struct lp_setting *setting)
{
	(void)judging;
	(void)setting;
	return true;
}

static bool is_below_a_minute(const struct lp_judging *judging, const struct lp_setting *setting)
{
	uint64_t n;
	(void)judging;
	return value_of(setting, &n) && n < LP_TIME_WAIT_S;
}

/* Fewer TIME_WAITs than one destination has ports: what the range would be without a word. */
static bool is_below_the_range(const struct lp_judging *judging, const struct lp_setting *setting)
{
	enum { DEFAULT_RANGE = 28232 };
	(void)judging;
	uint64_t n;
	return value_of(setting, &n) && n < DEFAULT_RANGE;
}

/* What is written in many a guide, and what is true. */
static const struct myth {
	const char *key; /* a pattern of fnmatch() */
	bool (*believed)(const struct lp_judging *judging, const struct lp_setting *setting);
	bool hurts; /* where the kernel has taken it on */
	const char *truth;
} myths[] = {
        {"net/ipv4/tcp_tw_recycle", is_on, true,
         "gone since Linux 4.12; before, it broke clients behind NAT"},
        {"net/ipv4/tcp_fin_timeout", is_below_a_minute, false,
         "it bounds FIN_WAIT2; TIME_WAIT is 60 s whatever it says"},
        {"net/ipv4/tcp_max_tw_buckets", is_below_the_range, true,
         "it cuts TIME_WAIT short and hides that ports run short"},
        {"net/ipv4/netfilter/ip_conntrack_*", is_always, false,
         "this name is gone; net.netfilter.nf_conntrack_* is what the kernel reads"},
        {"net/ipv4/ip_conntrack_*", is_always, false,
         "this name is gone; net.netfilter.nf_conntrack_* is what the kernel reads"},
        {"net/netfilter/ip_conntrack_*", is_always, false,
         "this name is gone; net.netfilter.nf_conntrack_* is what the kernel reads"},
};

static const struct myth *myth_of(const struct lp_judging *judging,
                                  const struct lp_setting *setting)
{
	for (size_t i = 0; i < sizeof(myths) / sizeof(myths[0]); i++)
		if (!setting->loses_to && fnmatch(myths[i].key, setting->key, FNM_PATHNAME) == 0 &&
		    myths[i].believed(judging, setting))
			return &myths[i];
	return NULL;
}

static bool is_in_force(const struct lp_setting *setting)
{
	return setting->running && !strcmp(setting->running, setting->value);
}

static enum lp_severity test_myth(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	const struct lp_settings *settings = settings_of(judging);
	enum lp_severity severity = LP_FINE;
	(void)subject;
	for (size_t i = 0; i < settings->n; i++) {
		const struct myth *myth = myth_of(judging, &settings->items[i]);
		if (myth && myth->hurts && is_in_force(&settings->items[i]))
			return LP_WARNING;
		if (myth)
			severity = LP_NOTICE;
	}
	return severity;
}

static void tell_myth(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_settings *settings = settings_of(judging);
	size_t n = 0;
	(void)subject;
	for (size_t i = 0; i < settings->n; i++)
		n += myth_of(judging, &settings->items[i]) != NULL;
	lp_finding_summary(finding, "%zu setting%s in sysctl files %s not do what %s set for.", n,
	                   lp_text_plural(n), n == 1 ? "does" : "do",
	                   n == 1 ? "it is" : "they are");
	lp_finding_cause(finding, "Advice of many years ago that this kernel does not follow, or "
	                          "that never was true.");
	for (size_t i = 0; i < settings->n; i++) {
		const struct lp_setting *setting = &settings->items[i];
		const struct myth *myth = myth_of(judging, setting);
		if (myth)
			lp_finding_evidence(finding, "%s:%u: %s = %s: %s.", setting->file,
			                    setting->line, TEXT_KEY(setting->key), setting->value,
			                    myth->truth);
	}
}

static void advise_myth(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_settings *settings = settings_of(judging);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Take the lines out");
	(void)subject;
	for (size_t i = 0; i < settings->n; i++)
		if (myth_of(judging, &settings->items[i]))
			lp_remedy_step(remedy, "%s: line %u", settings->items[i].file,
			               settings->items[i].line);
	lp_remedy_effect(remedy, "the defaults apply from the next boot on");
	lp_remedy_risk(remedy, LP_RISK_NONE, "None.");
	lp_remedy_relief(remedy, 1, 0);
}

const struct lp_rule lp_rule_myth_in_sysctl_config = {
        .id = "myth-in-sysctl-config",
        .title = "sysctl files hold settings that are myths",
        .of = LP_RULE_OF_MACHINE,
        .kinds = {&lp_local_ports, &lp_time_wait_buckets, &lp_conntrack_entries},
        .needs = LP_NEED_CONFIGURATION,
        .test = test_myth,
        .tell = tell_myth,
        .advise = advise_myth,
};

/* ---- what is set and not there -------------------------------------------------------------- */

/* The settings that bound connections: of others it is nobody's business here. */
static bool matters(const char *key)
{
	static const char *const keys[] = {
	        "net/ipv4/ip_local_port_range",
	        "net/ipv4/ip_local_reserved_ports",
	        "net/ipv4/tcp_tw_reuse",
	        "net/ipv4/tcp_timestamps",
	        "net/ipv4/tcp_max_tw_buckets",
	        "net/ipv4/tcp_max_syn_backlog",
	        "net/ipv4/tcp_mem",
	        "net/ipv4/tcp_max_orphans",
	        "net/core/somaxconn",
	        "net/nf_conntrack_max",
	        "net/netfilter/nf_conntrack_max",
	        "net/netfilter/nf_conntrack_buckets",
	        "net/netfilter/nf_conntrack_tcp_timeout_time_wait",
	        "net/netfilter/nf_conntrack_tcp_timeout_established",
	        "fs/file-max",
	};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(key, keys[i]))
			return true;
	return false;
}

/* A line of one file undone by a line of another. */
static bool is_undone(const struct lp_settings *settings, const struct lp_setting *setting)
{
	if (!setting->loses_to)
		return false;
	const struct lp_setting *winner = &settings->items[setting->loses_to - 1];
	return strcmp(winner->value, setting->value) != 0 &&
	       strcmp(winner->file, setting->file) != 0;
}

static bool differs(const struct lp_setting *setting)
{
	return !setting->loses_to && setting->running &&
	       strcmp(setting->running, setting->value) != 0;
}

static bool is_without_effect(const struct lp_settings *settings, const struct lp_setting *setting)
{
	return matters(setting->key) && (is_undone(settings, setting) || differs(setting));
}

static enum lp_severity test_effect(const struct lp_judging *judging,
                                    const struct lp_subject *subject)
{
	const struct lp_settings *settings = settings_of(judging);
	(void)subject;
	for (size_t i = 0; i < settings->n; i++)
		if (is_without_effect(settings, &settings->items[i]))
			return LP_NOTICE;
	return LP_FINE;
}

static void tell_effect(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_settings *settings = settings_of(judging);
	(void)subject;
	lp_finding_summary(finding, "Settings in sysctl files are not what the kernel has.");
	lp_finding_cause(finding, "A later file sets another value, somebody changed it since, or "
	                          "the module was not loaded yet when the file was read.");
	for (size_t i = 0; i < settings->n; i++) {
		const struct lp_setting *setting = &settings->items[i];
		if (!is_without_effect(settings, setting))
			continue;
		const struct lp_setting *winner =
		        setting->loses_to ? &settings->items[setting->loses_to - 1] : NULL;
		if (winner)
			lp_finding_evidence(finding, "%s:%u: %s = %s is undone by %s:%u: %s.",
			                    setting->file, setting->line, TEXT_KEY(setting->key),
			                    setting->value, winner->file, winner->line,
			                    winner->value);
		else
			lp_finding_evidence(finding, "%s:%u: %s = %s, and the kernel has %s.",
			                    setting->file, setting->line, TEXT_KEY(setting->key),
			                    setting->value, setting->running);
	}
}

static void advise_effect(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	struct lp_remedy *remedy = lp_remedy_add(finding, "Make the files say what is wanted");
	(void)judging;
	(void)subject;
	lp_remedy_step(remedy, "Keep one line for each setting, with the value that you want.");
	lp_remedy_step(remedy, "Apply them: systemctl restart systemd-sysctl, or sysctl --system. "
	                       "For nf_conntrack, name the module in /etc/modules-load.d.");
	lp_remedy_effect(remedy, "what runs now is what the next boot gives");
	lp_remedy_risk(remedy, LP_RISK_LOW, "Applying them sets every other line too.");
	lp_remedy_relief(remedy, 1, 0);
}

const struct lp_rule lp_rule_sysctl_config_without_effect = {
        .id = "sysctl-config-without-effect",
        .title = "sysctl files and the kernel differ",
        .of = LP_RULE_OF_MACHINE,
        .kinds = {&lp_local_ports, &lp_time_wait_buckets, &lp_conntrack_entries},
        .needs = LP_NEED_CONFIGURATION,
        .test = test_effect,
        .tell = tell_effect,
        .advise = advise_effect,
};
