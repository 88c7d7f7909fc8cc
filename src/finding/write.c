/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a finding is written with. */

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/utf8.h"
#include "finding/rule.h"

/* NULL when memory is short. */
__attribute__((format(printf, 1, 0))) static char *make(const char *format, va_list args)
{
	char *text;
	if (vasprintf(&text, format, args) < 0)
		return NULL;
	lp_utf8_clean(text);
	return text;
}

static void append(struct lp_texts *texts, char *text)
{
	if (text && lp_array_grow(&texts->items, &texts->room, texts->n, sizeof(*texts->items))) {
		texts->items[texts->n++] = text;
		return;
	}
	free(text);
	texts->torn = true;
}

#define FORMATTED(text, format)                 \
	do {                                    \
		va_list _args;                  \
		va_start(_args, format);        \
		(text) = make((format), _args); \
		va_end(_args);                  \
	} while (0)

void lp_finding_summary(struct lp_finding *finding, const char *format, ...)
{
	FORMATTED(finding->summary, format);
}

void lp_finding_cause(struct lp_finding *finding, const char *format, ...)
{
	FORMATTED(finding->cause, format);
}

void lp_finding_evidence(struct lp_finding *finding, const char *format, ...)
{
	char *text;
	FORMATTED(text, format);
	append(&finding->evidence, text);
}

void lp_texts_add(struct lp_texts *texts, const char *format, ...)
{
	char *text;
	FORMATTED(text, format);
	append(texts, text);
}

struct lp_remedy *lp_remedy_add(struct lp_finding *finding, const char *format, ...)
{
	if (!lp_array_grow(&finding->remedies, &finding->room_remedies, finding->n_remedies,
	                   sizeof(*finding->remedies))) {
		finding->torn = true;
		return NULL;
	}
	struct lp_remedy *remedy = &finding->remedies[finding->n_remedies++];
	*remedy = (struct lp_remedy){0};
	FORMATTED(remedy->title, format);
	return remedy;
}

void lp_remedy_step(struct lp_remedy *remedy, const char *format, ...)
{
	char *text;
	if (!remedy)
		return;
	FORMATTED(text, format);
	append(&remedy->steps, text);
}

/* Whether a shell takes it as one plain word. */
static bool is_plain(const char *name)
{
	static const char plain[] =
	        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz.-";
	return name && *name && *name != '-' && name[strspn(name, plain)] == '\0';
}

/* What runs a command in the namespace; the name of pid 1's is none of ip-netns(8). */
static const char *into(const struct lp_netns *netns, char *buf, size_t size)
{
	*buf = '\0';
	if (netns->own)
		return buf;
	if (is_plain(netns->name) && strcmp(netns->name, "host") != 0)
		(void)snprintf(buf, size, "ip netns exec %s ", netns->name);
	else if (netns->pid)
		(void)snprintf(buf, size, "nsenter --net=/proc/%d/ns/net ", netns->pid);
	else
		(void)snprintf(buf, size, "In the namespace net:[%" PRIu64 "]: ", netns->inode);
	return buf;
}

void lp_remedy_sysctl(struct lp_remedy *remedy, const struct lp_netns *netns, const char *format,
                      ...)
{
	char buf[320];
	char *text;
	if (!remedy)
		return;
	FORMATTED(text, format);
	if (text)
		lp_remedy_step(remedy, "%ssysctl -w %s", into(netns, buf, sizeof(buf)), text);
	remedy->steps.torn |= !text;
	free(text);
}

void lp_remedy_change(struct lp_remedy *remedy, const char *what, double from, double to)
{
	if (remedy && remedy->n_changes < LP_CHANGES)
		remedy->changes[remedy->n_changes++] =
		        (struct lp_change){.what = what, .from = from, .to = to};
}

void lp_remedy_effect(struct lp_remedy *remedy, const char *format, ...)
{
	if (remedy)
		FORMATTED(remedy->effect, format);
}

void lp_remedy_risk(struct lp_remedy *remedy, enum lp_risk level, const char *format, ...)
{
	if (!remedy)
		return;
	remedy->risk_level = level;
	FORMATTED(remedy->risk, format);
}

void lp_remedy_relief(struct lp_remedy *remedy, double before, double after)
{
	if (remedy && before > 0 && after < before)
		remedy->relief = (uint32_t)(LP_FULL * (1 - fmax(after, 0) / before));
}

/* ---- effects -------------------------------------------------------------------------------- */

/* Whole numbers as such; a rate with a decimal as long as that says something. */
static const char *amount(double n, char buf[LP_FIGURE_TEXT])
{
	enum { DECIMALS_MATTER_BELOW = 100 };
	if (n >= DECIMALS_MATTER_BELOW || n == floor(n))
		return lp_text_count((uint64_t)(n + 0.5), buf);
	return lp_text_real(n, buf);
}

static void write_effect(struct lp_remedy *remedy)
{
	char text[512] = "";
	size_t n = 0;
	for (size_t i = 0; i < remedy->n_changes && n < sizeof(text); i++) {
		const struct lp_change *change = &remedy->changes[i];
		char from[LP_FIGURE_TEXT], to[LP_FIGURE_TEXT];
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s → %s", i ? ", " : "",
		                      change->what, amount(change->from, from),
		                      amount(change->to, to));
	}
	remedy->effect = strdup(text);
}

/* How much of its relief a remedy is worth, for what it risks. */
static uint32_t worth(const struct lp_remedy *remedy)
{
	static const uint32_t percent[] = {
	        [LP_RISK_NONE] = 100, [LP_RISK_LOW] = 90, [LP_RISK_REAL] = 50};
	return remedy->relief * percent[remedy->risk_level] / 100;
}

/* Insertion: there are a handful, and what is equal stays as it was given. */
static void sort(struct lp_remedy *remedies, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct lp_remedy moving = remedies[i];
		size_t to = i;
		for (; to > 0 && worth(&remedies[to - 1]) < worth(&moving); to--)
			remedies[to] = remedies[to - 1];
		remedies[to] = moving;
	}
}

void lp_remedies_settle(struct lp_finding *finding)
{
	for (size_t i = 0; i < finding->n_remedies; i++)
		if (!finding->remedies[i].effect)
			write_effect(&finding->remedies[i]);
	sort(finding->remedies, finding->n_remedies);
}

void lp_texts_done(struct lp_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		free(texts->items[i]);
	free(texts->items);
}

static void remedy_done(struct lp_remedy *remedy)
{
	free(remedy->title);
	lp_texts_done(&remedy->steps);
	free(remedy->effect);
	free(remedy->risk);
}

static bool has_remedy(const struct lp_finding *finding, const char *title)
{
	for (size_t i = 0; i < finding->n_remedies; i++)
		if (!strcmp(finding->remedies[i].title, title))
			return true;
	return false;
}

void lp_remedies_move(struct lp_finding *from, struct lp_finding *to)
{
	for (size_t i = 0; i < from->n_remedies; i++) {
		struct lp_remedy *remedy = &from->remedies[i];
		bool room = !has_remedy(to, remedy->title) &&
		            lp_array_grow(&to->remedies, &to->room_remedies, to->n_remedies,
		                          sizeof(*to->remedies));
		if (room)
			to->remedies[to->n_remedies++] = *remedy;
		else
			remedy_done(remedy);
	}
	from->n_remedies = 0;
	sort(to->remedies, to->n_remedies);
}

/* ---- the end -------------------------------------------------------------------------------- */

void lp_finding_done(struct lp_finding *finding)
{
	free(finding->summary);
	free(finding->cause);
	lp_texts_done(&finding->evidence);
	for (size_t i = 0; i < finding->n_remedies; i++)
		remedy_done(&finding->remedies[i]);
	free(finding->remedies);
	for (size_t i = 0; i < finding->n_explains; i++)
		lp_finding_done(&finding->explains[i]);
	free(finding->explains);
	*finding = (struct lp_finding){0};
}

bool lp_finding_is_torn(const struct lp_finding *finding)
{
	if (finding->torn || !finding->summary || !finding->cause || finding->evidence.torn)
		return true;
	for (size_t i = 0; i < finding->n_remedies; i++) {
		const struct lp_remedy *remedy = &finding->remedies[i];
		if (!remedy->title || !remedy->effect || !remedy->risk || remedy->steps.torn)
			return true;
	}
	return false;
}
