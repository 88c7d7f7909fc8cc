/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An explanation for people: what it means, what can be behind it, what to do. */

#include "view/explain.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "view/style.h"

enum { BODY = 2, DEEP = 4 };

/* While it is written. */
struct page {
	const struct lp_style *style;
	const struct lp_explanation *explanation;
	FILE *out;
};

#define SAY(page, first, rest, ...) \
	lp_style_say((page)->style, (page)->out, (first), (rest), __VA_ARGS__)

static const struct lp_limit *limit_of(const struct page *page, const struct lp_cause *cause)
{
	return cause->limit == LP_NO_LIMIT ? NULL
	                                   : &page->style->report->limits.items[cause->limit];
}

/* ---- what it is about
 * ---------------------------------------------------------------------------*/

static const char *destination_of(const struct lp_line *line, char buf[LP_ADDRESS_TEXT])
{
	if (!line->address.family)
		return NULL;
	return line->port ? lp_address_port_text(&line->address, line->port, buf)
	                  : lp_address_text(&line->address, buf);
}

/* "EADDRNOTAVAIL from connect(), said by nginx (process 812), to 10.1.2.3:443: …" */
static int put_symptom(const struct page *page)
{
	const struct lp_line *line = &page->explanation->query.line;
	char destination[LP_ADDRESS_TEXT], who[64] = "", whom[LP_ADDRESS_TEXT + 8] = "",
	                                   pid[32] = "", call[32] = "";
	if (line->program)
		(void)snprintf(who, sizeof(who), ", said by %s", line->program->program);
	if (line->pid)
		(void)snprintf(pid, sizeof(pid), " (process %ld)", (long)line->pid);
	if (destination_of(line, destination))
		(void)snprintf(whom, sizeof(whom), ", to %s", destination);
	if (line->symptom->error && line->symptom->call != LP_CALL_ANY)
		(void)snprintf(call, sizeof(call), " from %s", lp_call_name(line->symptom->call));
	const char *error = line->symptom->error ? line->symptom->error : line->symptom->id;
	return SAY(page, 0, BODY, "%s%s%s%s%s: %s", error, call, who, pid, whom,
	           line->symptom->means);
}

static const char *command_of(const struct page *page)
{
	for (size_t i = 0; i < page->explanation->n_causes; i++) {
		const struct lp_limit *limit = limit_of(page, &page->explanation->causes[i]);
		if (limit && page->explanation->causes[i].by_process && !limit->kind->of_pool)
			return limit->process->command;
	}
	return NULL;
}

static int put_subject(const struct page *page)
{
	const struct lp_query *query = &page->explanation->query;
	const char *command = command_of(page);
	char destination[LP_ADDRESS_TEXT];
	switch (query->of) {
	case LP_QUERY_SYMPTOM:
		return put_symptom(page);
	case LP_QUERY_DESTINATION:
		return SAY(page, 0, BODY, "Connections to %s: what limits them here.",
		           destination_of(&query->line, destination));
	case LP_QUERY_PID:
		return SAY(page, 0, BODY, "Process %ld%s%s%s: what limits it.",
		           (long)query->line.pid, command ? " (" : "", command ? command : "",
		           command ? ")" : "");
	case LP_QUERY_LIMIT:
		return SAY(page, 0, BODY, "%s: when none is left, %s.", query->limit->name,
		           query->limit->refuses);
	case LP_QUERY_FINDING:
		return SAY(page, 0, BODY, "%s: %s.", query->rule->id, query->rule->title);
	case LP_QUERY_WORST:
		break;
	}
	return SAY(page, 0, BODY, "%s",
	           page->explanation->n_findings ? "The worst of this machine now."
	           : page->explanation->n_causes ? "Nothing is wrong that was looked at. The "
	                                           "nearest limit:"
	                                         : "Nothing could be seen.");
}

/* ---- causes
 * --------------------------------------------------------------------------------------*/

static int put_texts(const struct page *page, const char *label, const struct lp_texts *texts)
{
	int r = 0;
	for (size_t i = 0; i < texts->n && r == 0; i++)
		r = SAY(page, BODY, DEEP, "%s %s", label, texts->items[i]);
	return r;
}

static enum lp_concern concern_of(enum lp_likely likely)
{
	return likely == LP_LIKELY     ? LP_CONCERN_SEVERE
	       : likely == LP_POSSIBLE ? LP_CONCERN_HIGH
	                               : LP_CONCERN_NONE;
}

static int put_cause(const struct page *page, const struct lp_cause *cause)
{
	const struct lp_limit *limit = limit_of(page, cause);
	const char *colour = lp_style_colour(page->style, concern_of(cause->likely));
	char where[LP_CELL] = "", netns[LP_CELL] = "";
	if (limit)
		lp_style_where(page->style, limit, where);
	if (limit && limit->netns != LP_NO_NETNS && limit->netns != 0)
		lp_style_netns(page->style, limit->netns, netns);
	int r = lp_put(page->out, "\n%s", colour);
	if (r == 0)
		r = SAY(page, 0, BODY, "%s: %s%s%s%s%s%s%s", lp_likely_name(cause->likely),
		        cause->kind->label, *where ? " " : "", where, *netns ? " in " : "", netns,
		        cause->how ? ": " : "", cause->how ? cause->how : "");
	if (r == 0)
		r = lp_put(page->out, "%s", *colour ? lp_style_reset(page->style) : "");
	if (r == 0)
		r = put_texts(page, "For:", &cause->speaks_for);
	return r == 0 ? put_texts(page, "Against:", &cause->speaks_against) : r;
}

static int put_causes(const struct page *page)
{
	int r = 0;
	for (size_t i = 0; i < page->explanation->n_causes && r == 0; i++)
		r = put_cause(page, &page->explanation->causes[i]);
	return r;
}

static int put_otherwise(const struct page *page)
{
	const struct lp_symptom *symptom = page->explanation->query.line.symptom;
	int r = symptom && symptom->otherwise[0] ? lp_put(page->out, "\n") : 0;
	for (int i = 0; symptom && i < LP_SYMPTOM_OTHERS && symptom->otherwise[i] && r == 0; i++)
		r = SAY(page, 0, BODY, "Or: %s", symptom->otherwise[i]);
	return r;
}

/* ---- what to do
 * ----------------------------------------------------------------------------------*/

static bool is_anything_likely(const struct lp_explanation *explanation)
{
	return explanation->n_findings ||
	       (explanation->n_causes && explanation->causes[0].likely == LP_LIKELY);
}

static int put_findings(const struct page *page)
{
	const struct lp_explanation *explanation = page->explanation;
	const struct lp_query *query = &explanation->query;
	int r = 0;
	if (explanation->n_findings)
		r = lp_finding_write(page->style, page->out, explanation->findings[0]);
	for (size_t i = 1; i < explanation->n_findings && r == 0; i++)
		r = SAY(page, 0, BODY, "Also: %s [%s]", explanation->findings[i]->summary,
		        explanation->findings[i]->rule->id);
	if (r == 0 && query->of == LP_QUERY_FINDING && !explanation->n_findings)
		r = explanation->not_judged
		            ? SAY(page, 0, BODY, "Not judged, because %s.",
		                  explanation->not_judged->why)
		            : SAY(page, 0, BODY, "It is not so on this machine now.");
	return r;
}

/* What comes and goes must be watched while it is there. */
static int put_hint(const struct page *page)
{
	const struct lp_explanation *explanation = page->explanation;
	if (explanation->query.of != LP_QUERY_SYMPTOM || is_anything_likely(explanation) ||
	    !explanation->n_causes)
		return 0;
	if (explanation->causes[0].likely == LP_NOT_SEEN && page->style->report->snapshot->n_gaps)
		return 0; /* whether one is near can't be told */
	int r = lp_put(page->out, "\n");
	return r < 0 ? r
	             : SAY(page, 0, BODY,
	                   "No limit is near now. If it comes and goes: 'lastport trace' shows "
	                   "what is refused as it happens.");
}

static int put_ledger(const struct page *page)
{
	const struct lp_texts *texts = &page->explanation->ledger;
	int r = texts->n ? lp_put(page->out, "\n") : 0;
	for (size_t i = 0; i < texts->n && r == 0; i++)
		r = SAY(page, 0, BODY, "%s", texts->items[i]);
	return r;
}

static int put_documented(const struct page *page)
{
	const struct lp_line *line = &page->explanation->query.line;
	if (!line->symptom)
		return 0;
	int r = lp_put(page->out, "\n");
	if (r == 0)
		r = SAY(page, 0, BODY, "Documented: %s%s%s.", line->symptom->documented,
		        line->program ? "; the line: " : "",
		        line->program ? line->program->documented : "");
	return r;
}

static int put_gaps(const struct page *page)
{
	const struct lp_snapshot *snapshot = page->style->report->snapshot;
	int r = snapshot->n_gaps ? lp_put(page->out, "\n") : 0;
	if (!snapshot->n_gaps || r < 0)
		return r;
	return SAY(page, 0, BODY, "Not all was seen: %s%s.", snapshot->gaps[0].why,
	           snapshot->n_gaps > 1 ? ", and more: lastport --all" : "");
}

int lp_explain_view_text(const struct lp_report *report, const struct lp_explanation *explanation,
                         const struct lp_text_options *options, FILE *out)
{
	static int (*const parts[])(const struct page *) = {
	        put_subject, put_causes, put_otherwise,  put_findings,
	        put_hint,    put_ledger, put_documented, put_gaps,
	};
	struct lp_locale locale = lp_locale_enter();
	struct lp_text_options plain = *options;
	if (!locale.utf8)
		plain.unicode = false;
	struct lp_style style = lp_style_make(report, &plain);
	const struct page page = {.style = &style, .explanation = explanation, .out = out};
	int r = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && r == 0; i++)
		r = parts[i](&page);
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	lp_locale_leave(&locale);
	return r;
}
