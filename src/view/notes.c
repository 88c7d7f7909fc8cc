/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said below the table: sentences, each once, none of them about what is not shown. */

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "view/sentence.h"
#include "view/style.h"

/* ---- what a new destination gets ----------------------------------------------------------- */

enum { GROUPS = 4, NAMES = 3 };

/* Namespaces where a new destination gets the same. */
struct group {
	uint64_t ports;
	struct lp_real sustainable;
	size_t names[NAMES];
	size_t n4, n6; /* namespaces, by family */
};

static struct group *group_find(struct group *groups, size_t *n, uint64_t ports)
{
	for (size_t i = 0; i < *n; i++)
		if (groups[i].ports == ports)
			return &groups[i];
	if (*n == GROUPS)
		return NULL;
	groups[*n] = (struct group){.ports = ports};
	return &groups[(*n)++];
}

static void group_add(struct group *group, const struct lp_limit *limit,
                      const struct lp_forecast *forecast)
{
	size_t *n = limit->family == AF_INET6 ? &group->n6 : &group->n4;
	if (*n < NAMES)
		group->names[*n] = limit->netns;
	(*n)++;
	group->sustainable = forecast->sustainable;
}

static const char *families_text(const struct group *group)
{
	if (!group->n6)
		return "IPv4";
	if (!group->n4)
		return "IPv6";
	return group->n6 < group->n4 ? "IPv4, some IPv6" : "IPv4 and IPv6";
}

/* "host, blue and 3 more: "; nothing where only one namespace was looked at. */
static void say_names(const struct lp_style *style, const struct group *group,
                      struct lp_sentence *sentence)
{
	size_t n = group->n4 > group->n6 ? group->n4 : group->n6;
	char name[LP_CELL];
	if (style->report->snapshot->n_netns == 1)
		return;
	for (size_t i = 0; i < n && i < NAMES; i++) {
		lp_style_netns(style, group->names[i], name);
		lp_add(sentence, "%s%s", i ? ", " : "", name);
	}
	if (n > NAMES)
		lp_add(sentence, " and %zu more namespaces", n - NAMES);
	lp_add(sentence, ": ");
}

static int put_group(const struct lp_style *style, FILE *out, const struct group *group)
{
	struct lp_sentence sentence = {0};
	char number[LP_FIGURE_TEXT];
	lp_add(&sentence, "A new destination gets %s port%s",
	       group->ports ? lp_text_count(group->ports, number) : "no",
	       group->ports > 1 ? "s" : "");
	if (group->sustainable.known && group->ports)
		lp_add(&sentence, ", at most %s/s", lp_text_real(group->sustainable.n, number));
	lp_add(&sentence, " (");
	say_names(style, group, &sentence);
	lp_add(&sentence, "%s).", families_text(group));
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_new_destinations(const struct lp_style *style, FILE *out)
{
	const struct lp_limits *limits = &style->report->limits;
	struct group groups[GROUPS];
	size_t n = 0, others = 0;
	int r = 0;
	for (size_t i = 0; i < limits->n; i++) {
		const struct lp_limit *limit = &limits->items[i];
		if (!lp_limit_is_new_destination(limit))
			continue;
		struct group *group = group_find(groups, &n, limit->headroom);
		if (group)
			group_add(group, limit, &style->report->forecasts[i]);
		else
			others++;
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_group(style, out, &groups[i]);
	if (r == 0 && others)
		r = lp_style_paragraph(style, out, "Other namespaces give it more than that.");
	return r;
}

/* ---- rows that have to worry people, and have no finding that says so ----------------------- */

/* How the rate of a row that is nearly full compares with what can last. */
static int put_rate(const struct lp_style *style, FILE *out, const struct lp_limit *limit)
{
	const struct lp_forecast *forecast = lp_style_forecast(style, limit);
	struct lp_sentence sentence = {0};
	char where[LP_CELL], number[LP_FIGURE_TEXT];
	lp_style_where(style, limit, where);
	lp_add(&sentence, "%s: ", where);
	if (forecast->rate_recent.known)
		lp_add(&sentence, "%s opens/s now, ",
		       lp_text_real(forecast->rate_recent.n, number));
	if (forecast->rate.known)
		lp_add(&sentence, "%s over 60 s, ", lp_text_real(forecast->rate.n, number));
	lp_add(&sentence, "%s%s can last.", lp_text_real(forecast->sustainable.n, number),
	       forecast->rate_recent.known ? "" : " opens/s");
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_rates(const struct lp_style *style, FILE *out)
{
	enum { MOST = 3 };
	const struct lp_limit *limit;
	size_t at = 0, shown = 0, n = 0;
	int r = 0;
	while (r == 0 && n < MOST && (limit = lp_style_next(style, &at, &shown))) {
		if (lp_style_concern(style, limit) == LP_CONCERN_NONE || !limit->kind->of_pool ||
		    !limit->pool || !lp_style_forecast(style, limit)->sustainable.known ||
		    lp_style_has_finding(style, limit))
			continue;
		r = put_rate(style, out, limit);
		n++;
	}
	return r;
}

/* What people see when one of the rows that are nearly full is full: once a kind. */
static int put_refusals(const struct lp_style *style, FILE *out)
{
	const struct lp_limit_kind *said[32];
	const struct lp_limit *limit;
	size_t at = 0, shown = 0, n = 0;
	int r = 0;
	while (r == 0 && (limit = lp_style_next(style, &at, &shown))) {
		if (lp_style_concern(style, limit) == LP_CONCERN_NONE ||
		    lp_style_has_finding(style, limit))
			continue;
		size_t i = 0;
		while (i < n && said[i] != limit->kind)
			i++;
		if (i < n || n == sizeof(said) / sizeof(said[0]) || !limit->kind->refuses)
			continue;
		said[n++] = limit->kind;
		struct lp_sentence sentence = {0};
		lp_add(&sentence, "Out of %s: %s.", limit->kind->label, limit->kind->refuses);
		r = lp_style_paragraph(style, out, sentence.text);
	}
	return r;
}

/* ---- what the figures rest on -------------------------------------------------------------- */

/*
 * tcp_mem knows nothing of TIME_WAIT: its memory is slab, beside what the row says. Told where the
 * row is shown, and where there are so many that somebody will wonder.
 */
static int put_time_wait_cost(const struct lp_style *style, FILE *out, bool asked)
{
	enum { MANY = 10000 };
	const struct lp_snapshot *snapshot = style->report->snapshot;
	struct lp_figure entries = lp_report_time_wait(style->report);
	const struct lp_figure *size = &snapshot->machine.time_wait_size;
	char number[LP_FIGURE_TEXT], bytes[LP_FIGURE_TEXT];
	if (!entries.known || !size->known || entries.n < (asked ? 1 : MANY))
		return 0;
	struct lp_sentence sentence = {0};
	lp_add(&sentence, "%s TIME_WAIT cost %s beside TCP memory, and no descriptors.",
	       lp_text_count(entries.n, number), lp_text_bytes(entries.n * size->n, bytes));
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_assumptions(const struct lp_style *style, FILE *out, unsigned assumed)
{
	int r = 0;
	for (int bit = 0; bit < LP_ASSUMPTIONS && r == 0; bit++) {
		if (!(assumed & 1U << bit))
			continue;
		struct lp_sentence sentence = {0};
		lp_add(&sentence, "Assumed: %s.",
		       lp_assumption_text((enum lp_assumption)(1U << bit)));
		r = lp_style_paragraph(style, out, sentence.text);
	}
	return r;
}

/* Where a sample was read, small pools are not in the list, whether estimates are shown or not. */
static int put_estimates(const struct lp_style *style, FILE *out, bool shown)
{
	uint32_t share = lp_snapshot_sampled(style->report->snapshot);
	struct lp_sentence sentence = {0};
	if (shown)
		lp_add(&sentence, "%s marks an estimate%s", style->about, share ? ": " : ".");
	if (share)
		lp_add(&sentence,
		       "%s connection in %" PRIu32 " was read, and what may be near its limit "
		       "counted; --exact counts all.",
		       shown ? "one" : "One", share);
	return *sentence.text ? lp_style_paragraph(style, out, sentence.text) : 0;
}

static int put_basis(const struct lp_style *style, FILE *out)
{
	const struct lp_limit *limit;
	size_t at = 0, shown = 0;
	unsigned assumed = 0;
	bool memory = false, estimates = false;
	while ((limit = lp_style_next(style, &at, &shown))) {
		assumed |= limit->assumed;
		memory |= limit->kind->unit == LP_UNIT_PAGES;
		estimates |= !limit->exact;
	}
	int r = put_time_wait_cost(style, out, memory);
	if (r == 0)
		r = put_estimates(style, out, estimates);
	return r < 0 ? r : put_assumptions(style, out, assumed);
}

/* ---- what was not seen --------------------------------------------------------------------- */

static size_t netns_index(const struct lp_snapshot *snapshot, uint64_t inode)
{
	size_t i = 0;
	while (i < snapshot->n_netns && snapshot->netns[i].inode != inode)
		i++;
	return i;
}

static int put_gap(const struct lp_style *style, FILE *out, const struct lp_gap *gap)
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	struct lp_sentence sentence = {0};
	char name[LP_CELL];
	size_t index = netns_index(snapshot, gap->netns);
	lp_add(&sentence, "Not seen (%s", gap->what);
	if (gap->netns && index < snapshot->n_netns) {
		lp_style_netns(style, index, name);
		lp_add(&sentence, " of %s", name);
	} else if (gap->netns) {
		lp_add(&sentence, " of %" PRIu64, gap->netns);
	}
	lp_add(&sentence, "): %s.", gap->why);
	lp_text_clean(sentence.text, style->unicode);
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_gaps(const struct lp_style *style, FILE *out)
{
	enum { FEW = 5 };
	const struct lp_snapshot *snapshot = style->report->snapshot;
	size_t n = snapshot->n_gaps;
	if (style->rows && n > FEW)
		n = FEW - 1;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_gap(style, out, &snapshot->gaps[i]);
	if (r == 0 && n < snapshot->n_gaps)
		r = lp_put(out, "Not seen: %zu more gaps: --all\n", snapshot->n_gaps - n);
	return r;
}

int lp_notes_write(const struct lp_style *style, FILE *out)
{
	static int (*const notes[])(const struct lp_style *, FILE *) = {
	        put_rates,          put_refusals, lp_counters_write,
	        lp_conntrack_write, lp_nat_write, put_new_destinations,
	        put_basis,          lp_log_write, put_gaps,
	};
	int r = lp_put(out, "\n");
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]) && r == 0; i++)
		r = notes[i](style, out);
	return r;
}
