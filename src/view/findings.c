/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is wrong and what to do, below the table: the cause, then the step, then the proof. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "view/style.h"

/* So many on one screen; each with its best remedy. */
enum { SCREEN_FINDINGS = 3, LABEL = 2, BODY = 4 };

bool lp_style_has_finding(const struct lp_style *style, const struct lp_limit *limit)
{
	const struct lp_findings *findings = &style->report->findings;
	size_t index = (size_t)(limit - style->report->limits.items);
	for (size_t i = 0; i < findings->n; i++) {
		const struct lp_finding *finding = &findings->items[i];
		if (finding->limit == index)
			return true;
		for (size_t k = 0; k < finding->n_explains; k++)
			if (finding->explains[k].limit == index)
				return true;
	}
	return false;
}

/* A paragraph, its first line and those after it indented by so many columns. */
__attribute__((format(printf, 5, 6))) static int put(const struct lp_style *style, FILE *out,
                                                     size_t first, size_t rest, const char *format,
                                                     ...)
{
	va_list args;
	va_start(args, format);
	int r = lp_style_vsay(style, out, first, rest, format, args);
	va_end(args);
	return r;
}

static int put_remedy(const struct lp_style *style, FILE *out, const struct lp_remedy *remedy,
                      const char *label)
{
	int r = put(style, out, LABEL, BODY, "%s: %s.", label, remedy->title);
	for (size_t i = 0; i < remedy->steps.n && r == 0; i++)
		r = put(style, out, BODY, BODY, "%s", remedy->steps.items[i]);
	if (r == 0 && *remedy->effect)
		r = put(style, out, BODY, BODY, "Then: %s.", remedy->effect);
	if (r == 0 && strcmp(remedy->risk, "None.") != 0)
		r = put(style, out, BODY, BODY, "Mind: %s", remedy->risk);
	return r;
}

static int put_remedies(const struct lp_style *style, FILE *out, const struct lp_finding *finding)
{
	size_t n = style->rows && finding->n_remedies > 1 ? 1 : finding->n_remedies;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_remedy(style, out, &finding->remedies[i], i ? "Or" : "Do");
	return r;
}

/* What hurts: the worst symptom, where there is one; the cause comes behind it. */
static const char *headline(const struct lp_finding *finding)
{
	const struct lp_finding *worst = NULL;
	for (size_t i = 0; i < finding->n_explains; i++)
		if (!worst || finding->explains[i].severity > worst->severity)
			worst = &finding->explains[i];
	return worst ? worst->summary : finding->summary;
}

static int put_evidence(const struct lp_style *style, FILE *out, const struct lp_finding *finding)
{
	const struct lp_texts *evidence = &finding->evidence;
	bool first = true;
	int r = 0;
	for (size_t i = 0; i < evidence->n && r == 0; i++) {
		if (!strcmp(evidence->items[i], headline(finding)))
			continue; /* it stands above */
		r = put(style, out, first ? LABEL : BODY, BODY, "%s%s", first ? "Seen: " : "",
		        evidence->items[i]);
		first = false;
	}
	return r;
}

static int put_why(const struct lp_style *style, FILE *out, const struct lp_finding *finding)
{
	bool told = headline(finding) == finding->summary;
	return put(style, out, LABEL, BODY, "Why: %s%s%s", told ? "" : finding->summary,
	           told ? "" : " ", finding->cause);
}

/* "critical: …", and in which namespace where that does not go without saying. */
static int put_headline(const struct lp_style *style, FILE *out, const struct lp_finding *finding)
{
	static const enum lp_concern concerns[] = {
	        [LP_FINE] = LP_CONCERN_NONE,
	        [LP_NOTICE] = LP_CONCERN_NONE,
	        [LP_WARNING] = LP_CONCERN_HIGH,
	        [LP_CRITICAL] = LP_CONCERN_SEVERE,
	};
	const char *colour = lp_style_colour(style, concerns[finding->severity]);
	char netns[LP_CELL] = "";
	if (finding->netns != LP_NO_NETNS && finding->netns != 0)
		lp_style_netns(style, finding->netns, netns);
	int r = lp_put(out, "%s", colour);
	if (r == 0)
		r = put(style, out, 0, LABEL, "%s%s%s: %s [%s]",
		        lp_severity_name(finding->severity), *netns ? " in " : "", netns,
		        headline(finding), finding->rule->id);
	return r == 0 ? lp_put(out, "%s", *colour ? lp_style_reset(style) : "") : r;
}

int lp_finding_write(const struct lp_style *style, FILE *out, const struct lp_finding *finding)
{
	int r = lp_put(out, "\n");
	if (r == 0)
		r = put_headline(style, out, finding);
	if (r == 0)
		r = put_why(style, out, finding);
	if (r == 0)
		r = put_remedies(style, out, finding);
	return r == 0 ? put_evidence(style, out, finding) : r;
}

/* Every rule that lacks the same thing as the one at `first`. */
static int put_lacking(const struct lp_style *style, FILE *out, size_t first)
{
	const struct lp_findings *findings = &style->report->findings;
	const char *why = findings->not_judged[first].why;
	_cleanup_(lp_free_ptr) char *ids = NULL;
	size_t size;
	FILE *text = open_memstream(&ids, &size);
	if (!text)
		return -ENOMEM;
	for (size_t i = first; i < findings->n_not_judged; i++)
		if (!strcmp(findings->not_judged[i].why, why))
			(void)fprintf(text, " %s", findings->not_judged[i].rule->id);
	if (fclose(text) != 0)
		return -ENOMEM;
	return put(style, out, 0, LABEL, "Not judged, because %s:%s.", why, ids);
}

static bool is_first_of_its_kind(const struct lp_findings *findings, size_t index)
{
	size_t i = 0;
	while (strcmp(findings->not_judged[i].why, findings->not_judged[index].why) != 0)
		i++;
	return i == index;
}

static int put_not_judged(const struct lp_style *style, FILE *out)
{
	const struct lp_findings *findings = &style->report->findings;
	int r = findings->n_not_judged ? lp_put(out, "\n") : 0;
	for (size_t i = 0; i < findings->n_not_judged && r == 0; i++)
		if (is_first_of_its_kind(findings, i))
			r = put_lacking(style, out, i);
	return r;
}

int lp_findings_write(const struct lp_style *style, FILE *out)
{
	const struct lp_findings *findings = &style->report->findings;
	size_t n = style->rows && findings->n > SCREEN_FINDINGS ? SCREEN_FINDINGS : findings->n;
	size_t more = findings->n - n + findings->left_out;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = lp_finding_write(style, out, &findings->items[i]);
	if (r == 0 && more)
		r = lp_put(out, "\nand %zu more finding%s%s\n", more, lp_text_plural(more),
		           n < findings->n ? ": --all" : " like these");
	return r == 0 && !style->rows ? put_not_judged(style, out) : r;
}
