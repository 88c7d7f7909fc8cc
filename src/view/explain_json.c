/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/explain.h"

#include <errno.h>

#include "base/error.h"
#include "view/json_parts.h"
#include "view/style.h"

static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static int set_text(json_t *object, const char *key, const char *text)
{
	return text ? set(object, key, json_string(text)) : 0;
}

static json_t *count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *destination_object(const struct lp_line *line)
{
	char address[LP_ADDRESS_TEXT];
	json_auto_t *object =
	        json_pack("{s:s}", "address", lp_address_text(&line->address, address));
	if (!object || (line->port && set(object, "port", count(line->port)) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *understood_object(const struct lp_query *query)
{
	static const char *const kinds[] = {[LP_QUERY_WORST] = "worst",
	                                    [LP_QUERY_SYMPTOM] = "symptom",
	                                    [LP_QUERY_DESTINATION] = "destination",
	                                    [LP_QUERY_PID] = "pid",
	                                    [LP_QUERY_LIMIT] = "limit",
	                                    [LP_QUERY_FINDING] = "finding"};
	const struct lp_line *line = &query->line;
	const struct lp_symptom *symptom = line->symptom;
	json_auto_t *object = json_pack("{s:s}", "as", kinds[query->of]);
	if (!object || (symptom && set_text(object, "symptom", symptom->id) < 0) ||
	    (symptom && set_text(object, "error", symptom->error) < 0) ||
	    (symptom && symptom->call &&
	     set_text(object, "call", lp_call_name(symptom->call)) < 0) ||
	    (line->program && set_text(object, "program", line->program->program) < 0) ||
	    (line->address.family && set(object, "destination", destination_object(line)) < 0) ||
	    (line->pid && set(object, "pid", count((uint64_t)line->pid)) < 0) ||
	    (query->limit && set_text(object, "limit", query->limit->name) < 0) ||
	    (query->rule && set_text(object, "finding", query->rule->id) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *limit_object(const struct lp_report *report, const struct lp_limit *limit)
{
	json_auto_t *object =
	        json_pack("{s:o,s:o,s:o,s:o,s:i}", "scope", lp_json_scope(limit), "used",
	                  count(limit->used), "capacity", count(limit->capacity), "headroom",
	                  count(limit->headroom), "pressure", (int)limit->pressure);
	if (!object ||
	    (limit->netns != LP_NO_NETNS &&
	     set(object, "netns", lp_json_netns(&report->snapshot->netns[limit->netns])) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *cause_object(const struct lp_report *report, const struct lp_cause *cause)
{
	json_auto_t *object =
	        json_pack("{s:s,s:s,s:o,s:o}", "kind", cause->kind->name, "verdict",
	                  lp_likely_name(cause->likely), "for", lp_json_texts(&cause->speaks_for),
	                  "against", lp_json_texts(&cause->speaks_against));
	if (!object || set_text(object, "how", cause->how) < 0 ||
	    (cause->limit != LP_NO_LIMIT &&
	     set(object, "limit", limit_object(report, &report->limits.items[cause->limit])) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *causes_list(const struct lp_report *report, const struct lp_explanation *explanation)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < explanation->n_causes; i++)
		if (json_array_append_new(list, cause_object(report, &explanation->causes[i])) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *findings_list(const struct lp_report *report,
                             const struct lp_explanation *explanation)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < explanation->n_findings; i++)
		if (json_array_append_new(list, lp_json_finding(report, explanation->findings[i])) <
		    0)
			return NULL;
	return json_incref(list);
}

/* What is known of the symptom whatever the machine is like. */
static int set_symptom(json_t *object, const struct lp_line *line)
{
	if (!line->symptom)
		return 0;
	json_auto_t *otherwise = json_array(), *documented = json_array();
	for (int i = 0; i < LP_SYMPTOM_OTHERS && line->symptom->otherwise[i]; i++)
		if (json_array_append_new(otherwise, json_string(line->symptom->otherwise[i])) < 0)
			return -ENOMEM;
	if (json_array_append_new(documented, json_string(line->symptom->documented)) < 0 ||
	    (line->program &&
	     json_array_append_new(documented, json_string(line->program->documented)) < 0) ||
	    set_text(object, "means", line->symptom->means) < 0 ||
	    json_object_set(object, "otherwise", otherwise) < 0 ||
	    json_object_set(object, "documented", documented) < 0)
		return -ENOMEM;
	return 0;
}

/* Where ports matter. */
static int set_ledger(json_t *object, const struct lp_texts *texts)
{
	return texts->n ? set(object, "ledger", lp_json_texts(texts)) : 0;
}

int lp_explain_view_json(const struct lp_report *report, const struct lp_explanation *explanation,
                         FILE *out)
{
	json_auto_t *object =
	        json_pack("{s:i,s:o,s:b,s:o,s:o}", "schema", 1, "understood",
	                  understood_object(&explanation->query), "complete",
	                  report->snapshot->n_gaps == 0, "causes", causes_list(report, explanation),
	                  "findings", findings_list(report, explanation));
	if (!object || set_symptom(object, &explanation->query.line) < 0 ||
	    set_ledger(object, &explanation->ledger) < 0 ||
	    (explanation->not_judged &&
	     set_text(object, "not_judged", explanation->not_judged->why) < 0))
		return -ENOMEM;
	errno = 0;
	if (json_dumpf(object, out, JSON_COMPACT) != 0)
		return lp_errno();
	int r = lp_put(out, "\n");
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	return r;
}
