/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/json_parts.h"

/* Texts of findings are UTF-8 from the start. */
json_t *lp_json_texts(const struct lp_texts *texts)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < texts->n; i++)
		if (json_array_append_new(list, json_string(texts->items[i])) < 0)
			return NULL;
	return json_incref(list);
}

/* A figure to a tenth, whole where it is. */
static json_t *figure(double n)
{
	double tenths = (double)(int64_t)(n * 10 + 0.5);
	return (int64_t)tenths % 10 ? json_real(tenths / 10)
	                            : json_integer((json_int_t)(tenths / 10));
}

static json_t *change_list(const struct lp_remedy *remedy)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < remedy->n_changes; i++) {
		const struct lp_change *change = &remedy->changes[i];
		json_t *object = json_pack("{s:s,s:o,s:o}", "figure", change->what, "from",
		                           figure(change->from), "to", figure(change->to));
		if (json_array_append_new(list, object) < 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *remedy_list(const struct lp_finding *finding)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < finding->n_remedies; i++) {
		const struct lp_remedy *remedy = &finding->remedies[i];
		json_t *object = json_pack("{s:s,s:o,s:s,s:s,s:o}", "title", remedy->title, "steps",
		                           lp_json_texts(&remedy->steps), "effect", remedy->effect,
		                           "risk", remedy->risk, "changes", change_list(remedy));
		if (json_array_append_new(list, object) < 0)
			return NULL;
	}
	return json_incref(list);
}

/* What every finding has, a symptom too. */
static json_t *brief_object(const struct lp_report *report, const struct lp_finding *finding)
{
	json_auto_t *object = json_pack("{s:s,s:s}", "id", finding->rule->id, "severity",
	                                lp_severity_name(finding->severity));
	if (!object)
		return NULL;
	if (finding->limit != LP_NO_LIMIT &&
	    json_object_set_new(object, "limit", json_integer((json_int_t)finding->limit)) < 0)
		return NULL;
	if (finding->netns != LP_NO_NETNS &&
	    json_object_set_new(object, "netns",
	                        lp_json_netns(&report->snapshot->netns[finding->netns])) < 0)
		return NULL;
	if (json_object_set_new(object, "summary", json_string(finding->summary)) < 0 ||
	    json_object_set_new(object, "cause", json_string(finding->cause)) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *explains_list(const struct lp_report *report, const struct lp_finding *finding)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < finding->n_explains; i++)
		if (json_array_append_new(list, brief_object(report, &finding->explains[i])) < 0)
			return NULL;
	return json_incref(list);
}

json_t *lp_json_finding(const struct lp_report *report, const struct lp_finding *finding)
{
	json_auto_t *object = brief_object(report, finding);
	if (!object ||
	    json_object_set_new(object, "evidence", lp_json_texts(&finding->evidence)) < 0 ||
	    json_object_set_new(object, "remedies", remedy_list(finding)) < 0 ||
	    (finding->n_explains &&
	     json_object_set_new(object, "explains", explains_list(report, finding)) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *finding_list(const struct lp_report *report)
{
	const struct lp_findings *findings = &report->findings;
	json_auto_t *list = json_array();
	for (size_t i = 0; i < findings->n; i++)
		if (json_array_append_new(list, lp_json_finding(report, &findings->items[i])) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *not_judged_list(const struct lp_findings *findings)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < findings->n_not_judged; i++) {
		const struct lp_not_judged *one = &findings->not_judged[i];
		if (json_array_append_new(
		            list, json_pack("{s:s,s:s}", "id", one->rule->id, "why", one->why)) < 0)
			return NULL;
	}
	return json_incref(list);
}

json_t *lp_json_findings(const struct lp_report *report)
{
	const struct lp_findings *findings = &report->findings;
	json_auto_t *object = json_object();
	if (json_object_set_new(object, "findings", finding_list(report)) < 0 ||
	    json_object_set_new(object, "not_judged", not_judged_list(findings)) < 0 ||
	    (findings->left_out &&
	     json_object_set_new(object, "findings_left_out",
	                         json_integer((json_int_t)findings->left_out)) < 0))
		return NULL;
	return json_incref(object);
}
