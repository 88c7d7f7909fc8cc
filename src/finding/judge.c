/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Puts every rule to everything it looks at, and causes above their symptoms. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "finding/rule.h"
#include "finding/rules.h"

/* Causes first: what explains a symptom is looked for in this order. */
const struct lp_rule *const lp_rules[] = {
        &lp_rule_short_connections,
        &lp_rule_bind_before_connect,
        &lp_rule_close_wait_leak,
        &lp_rule_tw_buckets_lowered,
        &lp_rule_server_closes_first,
        &lp_rule_conntrack_outlives_time_wait,
        &lp_rule_connects_refused,
        &lp_rule_local_ports_exhausted,
        &lp_rule_local_ports_near,
        &lp_rule_port_search_slow,
        &lp_rule_client_ports_near,
        &lp_rule_conntrack_full,
        &lp_rule_conntrack_near,
        &lp_rule_conntrack_hash_small,
        &lp_rule_snat_ports_exhausted,
        &lp_rule_snat_ports_near,
        &lp_rule_accept_queue_overflow,
        &lp_rule_descriptors_near,
        &lp_rule_time_wait_overflow,
        &lp_rule_paws_behind_snat,
        &lp_rule_tw_reuse_without_timestamps,
        &lp_rule_range_overlaps_listener,
        &lp_rule_range_bounds_same_parity,
        &lp_rule_myth_in_sysctl_config,
        &lp_rule_sysctl_config_without_effect,
        NULL,
};

const struct lp_rule *lp_rule_find(const char *id)
{
	for (size_t i = 0; lp_rules[i]; i++)
		if (!strcmp(lp_rules[i]->id, id))
			return lp_rules[i];
	return NULL;
}

bool lp_rule_is_about(const struct lp_rule *rule, const struct lp_limit_kind *kind)
{
	for (size_t i = 0; i < LP_RULE_KINDS && rule->kinds[i]; i++)
		if (rule->kinds[i] == kind)
			return true;
	return false;
}

const char *lp_severity_name(enum lp_severity severity)
{
	static const char *const names[] = {
	        [LP_FINE] = "fine",
	        [LP_NOTICE] = "notice",
	        [LP_WARNING] = "warning",
	        [LP_CRITICAL] = "critical",
	};
	return names[severity];
}

const struct lp_netns *lp_subject_netns(const struct lp_judging *judging,
                                        const struct lp_subject *subject)
{
	return &judging->facts->snapshot->netns[subject->netns];
}

const struct lp_limit *lp_finding_limit(const struct lp_judging *judging,
                                        const struct lp_finding *finding)
{
	return finding->limit == LP_NO_LIMIT ? NULL
	                                     : &judging->facts->limits->items[finding->limit];
}

static bool runs_out_soon(const struct lp_subject *subject)
{
	const struct lp_real *end = &subject->forecast->exhausted_in_s;
	return end->known && end->n <= LP_SOON_S;
}

bool lp_subject_is_near(const struct lp_subject *subject)
{
	return subject->limit->pressure >= LP_NEAR || runs_out_soon(subject);
}

bool lp_subject_is_exhausted(const struct lp_subject *subject)
{
	return subject->limit->headroom == 0 ||
	       (subject->limit->pressure >= LP_NEARLY_FULL && runs_out_soon(subject));
}

/* ---- judging -------------------------------------------------------------------------------- */

static struct lp_finding *grow(struct lp_findings *findings)
{
	if (!lp_array_grow(&findings->items, &findings->room, findings->n,
	                   sizeof(*findings->items)))
		return NULL;
	return &findings->items[findings->n++];
}

static bool said_already(const struct lp_findings *findings, const struct lp_rule *rule,
                         size_t netns)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->items[i].rule == rule && findings->items[i].netns == netns)
			return true;
	return false;
}

static int judge_one(const struct lp_judging *judging, const struct lp_rule *rule,
                     const struct lp_subject *subject, size_t *so_far, struct lp_findings *findings)
{
	enum lp_severity severity = rule->test(judging, subject);
	if (severity == LP_FINE || (rule->once && said_already(findings, rule, subject->netns)))
		return 0;
	if ((*so_far)++ >= LP_FINDINGS_A_RULE) {
		findings->left_out++;
		return 0;
	}
	struct lp_finding *finding = grow(findings);
	if (!finding)
		return -ENOMEM;
	*finding = (struct lp_finding){
	        .rule = rule,
	        .severity = severity,
	        .limit = subject->index,
	        .netns = subject->netns,
	};
	rule->tell(judging, subject, finding);
	if (rule->advise)
		rule->advise(judging, subject, finding);
	lp_remedies_settle(finding);
	return lp_finding_is_torn(finding) ? -ENOMEM : 0;
}

static int judge_limits(const struct lp_judging *judging, const struct lp_rule *rule,
                        struct lp_findings *findings)
{
	const struct lp_limits *limits = judging->facts->limits;
	size_t so_far = 0, asked = LP_NO_NETNS;
	bool judgeable = true;
	int r = 0;
	for (size_t i = 0; i < limits->n && r == 0; i++) {
		const struct lp_limit *limit = &limits->items[i];
		if (!lp_rule_is_about(rule, limit->kind) || limit->echo)
			continue;
		if (limit->netns != asked) {
			asked = limit->netns;
			judgeable = lp_rule_is_judgeable(judging, rule, asked);
		}
		const struct lp_subject subject = {
		        .netns = limit->netns,
		        .index = i,
		        .limit = limit,
		        .forecast = &judging->facts->forecasts[i],
		};
		if (judgeable)
			r = judge_one(judging, rule, &subject, &so_far, findings);
	}
	return r;
}

static int judge_rule(const struct lp_judging *judging, const struct lp_rule *rule,
                      struct lp_findings *findings)
{
	struct lp_subject subject = {.netns = LP_NO_NETNS, .index = LP_NO_LIMIT};
	size_t so_far = 0;
	bool judgeable;
	int r = lp_rule_machine_lacks(judging, rule, findings, &judgeable);
	if (r == 0)
		r = lp_rule_namespaces_lack(judging, rule, findings);
	if (r < 0 || !judgeable)
		return r;
	switch (rule->of) {
	case LP_RULE_OF_LIMIT:
		return judge_limits(judging, rule, findings);
	case LP_RULE_OF_NETNS:
		for (size_t i = 0; i < judging->facts->snapshot->n_netns && r == 0; i++) {
			subject.netns = i;
			if (lp_rule_is_judgeable(judging, rule, i))
				r = judge_one(judging, rule, &subject, &so_far, findings);
		}
		return r;
	case LP_RULE_OF_MACHINE:
		return judge_one(judging, rule, &subject, &so_far, findings);
	}
	return 0;
}

/* ---- causes above symptoms ------------------------------------------------------------------ */

static struct lp_finding *cause_of(const struct lp_judging *judging, struct lp_findings *findings,
                                   const struct lp_finding *symptom)
{
	for (size_t i = 0; i < findings->n; i++) {
		struct lp_finding *cause = &findings->items[i];
		if (cause != symptom && cause->rule && cause->rule->explains &&
		    cause->rule->explains(judging, cause, symptom))
			return cause;
	}
	return NULL;
}

static int adopt(struct lp_finding *cause, struct lp_finding *symptom)
{
	if (!lp_array_grow(&cause->explains, &cause->room_explains, cause->n_explains,
	                   sizeof(*cause->explains)))
		return -ENOMEM;
	cause->explains[cause->n_explains++] = *symptom;
	symptom->rule = NULL; /* moved */
	return 0;
}

/*
 * Moves the symptom below its cause, whose evidence it is; and what it was itself the cause of.
 * What helps against the symptom helps too.
 */
static int put_below(struct lp_finding *cause, struct lp_finding *symptom)
{
	if (symptom->severity > cause->severity)
		cause->severity = symptom->severity;
	lp_finding_evidence(cause, "%s", symptom->summary);
	lp_remedies_move(symptom, cause);
	for (; symptom->n_explains; symptom->n_explains--)
		if (adopt(cause, &symptom->explains[symptom->n_explains - 1]) < 0)
			return -ENOMEM;
	if (adopt(cause, symptom) < 0)
		return -ENOMEM;
	return lp_finding_is_torn(cause) ? -ENOMEM : 0;
}

static int fold(const struct lp_judging *judging, struct lp_findings *findings)
{
	for (size_t i = 0; i < findings->n; i++) {
		struct lp_finding *symptom = &findings->items[i];
		struct lp_finding *cause = cause_of(judging, findings, symptom);
		if (cause && put_below(cause, symptom) < 0)
			return -ENOMEM;
	}
	size_t kept = 0;
	for (size_t i = 0; i < findings->n; i++)
		if (findings->items[i].rule)
			findings->items[kept++] = findings->items[i];
	findings->n = kept;
	return 0;
}

static size_t place_of(const struct lp_rule *rule)
{
	size_t i = 0;
	while (lp_rules[i] && lp_rules[i] != rule)
		i++;
	return i;
}

/* Worst first, then by the limits' own order, which is nearest to exhaustion first. */
static int compare(const void *x, const void *y)
{
	const struct lp_finding *a = x, *b = y;
	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	if (a->limit != b->limit)
		return a->limit < b->limit ? -1 : 1;
	if (a->rule != b->rule)
		return place_of(a->rule) < place_of(b->rule) ? -1 : 1;
	return a->netns < b->netns ? -1 : a->netns > b->netns;
}

int lp_findings_judge(const struct lp_facts *facts, const struct lp_limit_kind *only,
                      struct lp_findings *ret)
{
	const struct lp_judging judging = {.facts = facts};
	*ret = (struct lp_findings){0};
	for (size_t i = 0; lp_rules[i]; i++) {
		if (only && !lp_rule_is_about(lp_rules[i], only))
			continue;
		int r = judge_rule(&judging, lp_rules[i], ret);
		if (r < 0)
			return r;
	}
	int r = fold(&judging, ret);
	if (r == 0 && ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare);
	return r;
}

void lp_findings_done(struct lp_findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		lp_finding_done(&findings->items[i]);
	free(findings->items);
	for (size_t i = 0; i < findings->n_not_judged; i++)
		free(findings->not_judged[i].why);
	free(findings->not_judged);
	*findings = (struct lp_findings){0};
}
