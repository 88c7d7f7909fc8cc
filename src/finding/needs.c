/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What rules need to be judged, and what is said where it is missing. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "finding/rule.h"

static bool sockets_read(const struct lp_netns *netns)
{
	return netns->sockets_read;
}

static bool range_known(const struct lp_netns *netns)
{
	return netns->range_low.known && netns->range_high.known;
}

static bool reuse_known(const struct lp_netns *netns)
{
	return netns->tw_reuse.known && netns->timestamps.known;
}

/* Where nothing is tracked, there is nothing to know of it. */
static bool tracks(const struct lp_netns *netns)
{
	return netns->conntrack_entries.known && netns->conntrack_max.known;
}

static bool buckets_known(const struct lp_netns *netns)
{
	return netns->conntrack_buckets.known || !tracks(netns);
}

static bool conntrack_time_known(const struct lp_netns *netns)
{
	return netns->conntrack_time_wait_s.known || !tracks(netns);
}

static bool counters_known(const struct lp_netns *netns)
{
	return netns->tcp_counters.paws_time_wait.known && netns->tcp_counters.passive_opens.known;
}

/* What a namespace must have for a rule to be judged in it. */
static const struct need {
	enum lp_need bit;
	const char *missing;
	bool (*met)(const struct lp_netns *netns);
} needs_of_netns[] = {
        {LP_NEED_SOCKETS, "the sockets could not be read", sockets_read},
        {LP_NEED_RANGE, "ip_local_port_range is not known", range_known},
        {LP_NEED_REUSE, "tcp_tw_reuse and tcp_timestamps are not known", reuse_known},
        {LP_NEED_BUCKETS, "nf_conntrack_buckets is not known", buckets_known},
        {LP_NEED_COUNTERS, "TCP's counters could not be read", counters_known},
        {LP_NEED_CONNTRACK_TIME, "conntrack's timeouts are not known", conntrack_time_known},
};
enum { NEEDS_OF_NETNS = sizeof(needs_of_netns) / sizeof(needs_of_netns[0]) };

/* The first thing missing, or NULL. */
static const struct need *missing_in(const struct lp_rule *rule, const struct lp_netns *netns)
{
	for (size_t i = 0; i < NEEDS_OF_NETNS; i++)
		if (rule->needs & needs_of_netns[i].bit && !needs_of_netns[i].met(netns))
			return &needs_of_netns[i];
	return NULL;
}

static int add_not_judged(struct lp_findings *findings, const struct lp_rule *rule, char *why)
{
	if (!lp_array_grow(&findings->not_judged, &findings->room_not_judged,
	                   findings->n_not_judged, sizeof(*findings->not_judged))) {
		free(why);
		return -ENOMEM;
	}
	findings->not_judged[findings->n_not_judged++] =
	        (struct lp_not_judged){.rule = rule, .why = why};
	return 0;
}

static int tell_text(struct lp_findings *findings, const struct lp_rule *rule, const char *text)
{
	char *why = strdup(text);
	return why ? add_not_judged(findings, rule, why) : -ENOMEM;
}

/* Those that were seen are judged all the same. */
static int tell_tables(const struct lp_snapshot *snapshot, const struct lp_rule *rule,
                       struct lp_findings *findings)
{
	const struct lp_machine *machine = &snapshot->machine;
	if (!machine->conntrack_torn || !machine->conntrack_entries.known)
		return 0;
	return tell_text(findings, rule,
	                 "some namespaces' conntrack entries are not known, and share the table");
}

int lp_rule_machine_lacks(const struct lp_judging *judging, const struct lp_rule *rule,
                          struct lp_findings *findings, bool *judgeable)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_settings *settings = &snapshot->settings;
	*judgeable = true;
	if (rule->needs & LP_NEED_LEDGER && !snapshot->ledger) {
		*judgeable = false;
		return tell_text(findings, rule,
		                 snapshot->ledger_closed
		                         ? "the ledger can't be read (lastport ledger show)"
		                         : "the ledger is off (lastport ledger on)");
	}
	if (rule->needs & LP_NEED_ALL_TABLES)
		return tell_tables(snapshot, rule, findings);
	if (!(rule->needs & LP_NEED_CONFIGURATION))
		return 0;
	*judgeable = settings->read;
	if (!settings->read)
		return tell_text(findings, rule, "sysctl files were not looked at");
	return settings->unread ? tell_text(findings, rule, settings->unread) : 0;
}

int lp_rule_namespaces_lack(const struct lp_judging *judging, const struct lp_rule *rule,
                            struct lp_findings *findings)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	size_t lacking[NEEDS_OF_NETNS] = {0};
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		const struct need *need = missing_in(rule, &snapshot->netns[i]);
		if (need)
			lacking[need - needs_of_netns]++;
	}
	for (size_t i = 0; i < NEEDS_OF_NETNS; i++) {
		char *why;
		if (!lacking[i])
			continue;
		int n = lacking[i] == snapshot->n_netns
		                ? asprintf(&why, "%s", needs_of_netns[i].missing)
		                : asprintf(&why, "%s in %zu of %zu namespaces",
		                           needs_of_netns[i].missing, lacking[i],
		                           snapshot->n_netns);
		if (n < 0 || add_not_judged(findings, rule, why) < 0)
			return -ENOMEM;
	}
	return 0;
}

bool lp_rule_is_judgeable(const struct lp_judging *judging, const struct lp_rule *rule,
                          size_t netns)
{
	return netns == LP_NO_NETNS || !missing_in(rule, &judging->facts->snapshot->netns[netns]);
}
