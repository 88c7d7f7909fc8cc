/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of limits: a first pass over the rows measures, a second one writes, so that any
 * number of rows takes no memory. What does not fit is given up in this order: further columns,
 * the alignment of capacities, the middle of what a row is about.
 */

#include <errno.h>
#include <math.h>
#include <string.h>

#include "view/style.h"

enum column {
	USED,
	LIMIT,
	WHERE,
	NETNS,
	AMOUNT, /* "28,190 / 28,232" */
	LEFT,
	REUSABLE,
	RATE,
	MOST,
	RUNS_OUT,
	COLUMNS,
};

static const struct {
	const char *title;
	bool left_aligned;
} columns[COLUMNS] = {
        [USED] = {"USED", false},
        [LIMIT] = {"LIMIT", true},
        [WHERE] = {"WHERE", true},
        [NETNS] = {"NAMESPACE", true},
        [AMOUNT] = {"USED / CAPACITY", false},
        [LEFT] = {"LEFT", false},
        [REUSABLE] = {"REUSABLE", false},
        [RATE] = {"RATE", false},
        [MOST] = {"AT MOST", false},
        [RUNS_OUT] = {"RUNS OUT", false},
};

struct row {
	char cells[COLUMNS][LP_CELL];
	char capacity[LP_FIGURE_TEXT];
	enum lp_concern concern;
};

struct layout {
	size_t widths[COLUMNS];
	bool shown[COLUMNS];
	size_t gaps[COLUMNS];  /* before each but the first */
	size_t capacity_width; /* 0: capacities are not aligned */
};

static const char *runs_out(const struct lp_style *style, const struct lp_limit *limit,
                            const struct lp_forecast *forecast, char buf[LP_CELL])
{
	if (limit->headroom == 0)
		return "now";
	if (!forecast->exhausted_in_s.known)
		return style->unknown;
	if (isinf(forecast->exhausted_in_s.n))
		return "never";
	if (forecast->exhausted_in_s.n < 1)
		return "in < 1 s";
	char span[LP_FIGURE_TEXT];
	(void)snprintf(buf, LP_CELL, "in %s", lp_text_span(forecast->exhausted_in_s.n, span));
	return buf;
}

/* Empty where it is not known: most limits have no rate. */
static void per_second(const struct lp_real *rate, char cell[LP_CELL])
{
	char number[LP_FIGURE_TEXT];
	if (rate->known)
		(void)snprintf(cell, LP_CELL, "%s/s", lp_text_rate(rate->n, number));
}

static void used_percent(const struct lp_limit *limit, char cell[LP_CELL])
{
	char percent[LP_FIGURE_TEXT];
	bool trace = limit->used > 0 && limit->pressure < 10;
	(void)snprintf(cell, LP_CELL, "%s",
	               trace ? "< 0.1 %" : lp_text_percent(limit->pressure, percent));
}

static void row_make(const struct lp_style *style, const struct lp_limit *limit, struct row *row)
{
	const struct lp_forecast *forecast = lp_style_forecast(style, limit);
	char text[LP_FIGURE_TEXT], buf[LP_CELL];

	memset(row, 0, sizeof(*row));
	row->concern = lp_style_concern(style, limit);
	used_percent(limit, row->cells[USED]);
	(void)snprintf(row->cells[LIMIT], LP_CELL, "%s", limit->kind->label);
	lp_style_where(style, limit, row->cells[WHERE]);
	if (limit->netns != LP_NO_NETNS)
		lp_style_netns(style, limit->netns, row->cells[NETNS]);
	lp_style_amount(style, limit, limit->used, text);
	(void)snprintf(row->cells[AMOUNT], LP_CELL, "%s%s", limit->exact ? "" : style->about, text);
	lp_style_amount(style, limit, limit->capacity, row->capacity);
	lp_style_amount(style, limit, limit->headroom, text);
	(void)snprintf(row->cells[LEFT], LP_CELL, "%s%s", limit->exact ? "" : style->about, text);
	if (limit->reusable.known) {
		lp_style_amount(style, limit, limit->reusable.n, text);
		(void)snprintf(row->cells[REUSABLE], LP_CELL, "%s", text);
	}
	per_second(&forecast->rate, row->cells[RATE]);
	per_second(&forecast->sustainable, row->cells[MOST]);
	(void)snprintf(row->cells[RUNS_OUT], LP_CELL, "%s", runs_out(style, limit, forecast, buf));
}

/* What LIMIT and WHERE would take if there were room for everything. */
struct subject {
	size_t label; /* the longest label beside something in WHERE */
	size_t alone; /* the longest label of a row with nothing there */
	size_t where;
};

struct measure {
	size_t widths[COLUMNS];
	struct subject plain, tagged;  /* without and with the namespace in them */
	size_t used, capacity, amount; /* AMOUNT by its halves, and whole */
	bool namespaces, rates, reusable;
};

static void grow(size_t *width, size_t to)
{
	if (to > *width)
		*width = to;
}

/*
 * Puts the namespace into what the row is about, where there is no column for it. The caller's
 * own, which comes first in a snapshot, goes without saying.
 */
static void tag_with_netns(const struct lp_limit *limit, struct row *row)
{
	if (limit->netns == LP_NO_NETNS || limit->netns == 0)
		return;
	char text[LP_CELL];
	char *cell = row->cells[row->cells[WHERE][0] ? WHERE : LIMIT];
	if (cell == row->cells[WHERE])
		(void)snprintf(text, sizeof(text), "%.60s: %.120s", row->cells[NETNS], cell);
	else
		(void)snprintf(text, sizeof(text), "%.60s of %.60s", cell, row->cells[NETNS]);
	memcpy(cell, text, sizeof(text));
}

static void measure_subject(const struct row *row, struct subject *subject)
{
	bool alone = !row->cells[WHERE][0];
	grow(alone ? &subject->alone : &subject->label, lp_text_width(row->cells[LIMIT]));
	grow(&subject->where, lp_text_width(row->cells[WHERE]));
}

static void measure_row(const struct lp_style *style, const struct lp_limit *limit,
                        struct measure *m)
{
	struct row row;
	row_make(style, limit, &row);
	for (int c = 0; c < COLUMNS; c++)
		grow(&m->widths[c], lp_text_width(row.cells[c]));
	size_t capacity = lp_text_width(row.capacity), used = lp_text_width(row.cells[AMOUNT]);
	grow(&m->used, used);
	grow(&m->capacity, capacity);
	grow(&m->amount, used + strlen(" / ") + capacity);
	measure_subject(&row, &m->plain);
	tag_with_netns(limit, &row);
	measure_subject(&row, &m->tagged);

	const struct lp_forecast *forecast = lp_style_forecast(style, limit);
	m->namespaces |= limit->netns != LP_NO_NETNS && limit->netns != 0;
	m->rates |= forecast->rate.known;
	m->reusable |= limit->reusable.known && limit->reusable.n > 0;
}

static size_t total(const struct layout *layout)
{
	size_t sum = 0;
	for (int c = 0; c < COLUMNS; c++)
		if (layout->shown[c])
			sum += layout->widths[c] + (c ? layout->gaps[c] : 0);
	return sum;
}

/* Takes the layout if it fits. */
static bool try_layout(const struct lp_style *style, const struct layout *candidate,
                       struct layout *layout)
{
	if (total(candidate) > style->width)
		return false;
	*layout = *candidate;
	return true;
}

/* A label may run into an empty WHERE, but not past it. */
static void set_subject(struct layout *layout, const struct subject *subject)
{
	layout->widths[LIMIT] = subject->label;
	grow(&layout->widths[LIMIT], strlen(columns[LIMIT].title));
	layout->widths[WHERE] = subject->where;
	layout->shown[WHERE] = subject->where > 0;
	if (!subject->where) {
		grow(&layout->widths[LIMIT], subject->alone);
		return;
	}
	grow(&layout->widths[WHERE], strlen(columns[WHERE].title));
	size_t room = layout->widths[LIMIT] + layout->gaps[WHERE];
	if (subject->alone > room)
		grow(&layout->widths[WHERE], subject->alone - room);
}

static struct layout narrow(const struct lp_style *style, struct layout layout,
                            const struct measure *m)
{
	enum { LEAST_WHERE = 8 };
	static const enum column figures[] = {LEFT, RUNS_OUT};
	layout.capacity_width = 0;
	layout.widths[AMOUNT] = m->amount;
	grow(&layout.widths[AMOUNT], strlen(columns[AMOUNT].title));
	for (size_t i = 0; i < 2 && total(&layout) > style->width; i++)
		layout.gaps[figures[i]] = 1;
	for (int c = 0; c < COLUMNS && total(&layout) > style->width; c++)
		layout.gaps[c] = 1;
	size_t over = total(&layout) > style->width ? total(&layout) - style->width : 0;
	size_t *cut = &layout.widths[layout.shown[WHERE] ? WHERE : LIMIT];
	if (over)
		*cut = *cut > over + LEAST_WHERE ? *cut - over : LEAST_WHERE;
	return layout;
}

static struct layout wide(const struct lp_style *style, struct layout layout,
                          const struct measure *m)
{
	struct layout candidate = layout;
	if (m->namespaces) {
		candidate.shown[NETNS] = true;
		set_subject(&candidate, &m->plain);
		(void)try_layout(style, &candidate, &layout);
	}
	candidate = layout;
	if (m->rates) {
		candidate.shown[RATE] = candidate.shown[MOST] = true;
		(void)try_layout(style, &candidate, &layout);
	}
	candidate = layout;
	if (m->reusable) {
		candidate.shown[REUSABLE] = true;
		(void)try_layout(style, &candidate, &layout);
	}
	return layout;
}

static struct layout lay_out(const struct lp_style *style, const struct measure *m)
{
	struct layout layout = {.capacity_width = m->capacity};
	static const enum column always[] = {USED, LIMIT, AMOUNT, LEFT, RUNS_OUT};
	for (int c = 0; c < COLUMNS; c++) {
		layout.gaps[c] = 2;
		layout.widths[c] = m->widths[c];
		grow(&layout.widths[c], strlen(columns[c].title));
	}
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		layout.shown[always[i]] = true;
	grow(&layout.widths[AMOUNT], m->used + strlen(" / ") + m->capacity);
	set_subject(&layout, &m->tagged);
	if (total(&layout) > style->width)
		return narrow(style, layout, m);
	return wide(style, layout, m);
}

static size_t label_room(const struct layout *layout, const struct row *row)
{
	size_t room = layout->widths[LIMIT];
	if (layout->shown[WHERE] && !row->cells[WHERE][0])
		room += layout->gaps[WHERE] + layout->widths[WHERE];
	return room;
}

/* Joins both halves of AMOUNT and fits WHERE into its column. */
static void row_fit(const struct lp_style *style, const struct layout *layout,
                    const struct lp_limit *limit, struct row *row)
{
	char text[LP_CELL];
	(void)snprintf(text, sizeof(text), "%.60s / %*s", row->cells[AMOUNT],
	               (int)layout->capacity_width, row->capacity);
	memcpy(row->cells[AMOUNT], text, sizeof(text));
	if (!layout->shown[NETNS])
		tag_with_netns(limit, row);
	lp_style_shorten(style, row->cells[WHERE], layout->widths[WHERE], text);
	memcpy(row->cells[WHERE], text, sizeof(text));
	lp_text_shorten(row->cells[LIMIT], label_room(layout, row), style->ellipsis, text,
	                sizeof(text));
	memcpy(row->cells[LIMIT], text, sizeof(text));
}

/* One cell, with `room` columns for it, and the gap before it. */
static int put_cell(FILE *out, size_t gap, size_t room, bool left_aligned, const char *text,
                    const char *colour, const char *reset)
{
	size_t width = lp_text_width(text);
	int pad = width < room ? (int)(room - width) : 0;
	return lp_put(out, "%*s%s%s%s%*s", (int)gap + (left_aligned ? 0 : pad), "", colour, text,
	              *colour ? reset : "", left_aligned ? pad : 0, "");
}

static int put_row(const struct lp_style *style, const struct layout *layout, const struct row *row,
                   FILE *out)
{
	const char *colour = lp_style_colour(style, row->concern);
	for (int c = 0; c < COLUMNS; c++) {
		if (!layout->shown[c])
			continue;
		size_t room = c == LIMIT ? label_room(layout, row) : layout->widths[c];
		if (c == WHERE && !row->cells[WHERE][0])
			continue;
		bool coloured = c == USED || c == LEFT || c == RUNS_OUT;
		int r = put_cell(out, c ? layout->gaps[c] : 0, room, columns[c].left_aligned,
		                 row->cells[c], coloured ? colour : "", lp_style_reset(style));
		if (r < 0)
			return r;
	}
	return lp_put(out, "\n");
}

static int put_titles(const struct lp_style *style, const struct layout *layout, FILE *out)
{
	int r = lp_put(out, "%s", lp_style_bold(style));
	for (int c = 0; c < COLUMNS && r == 0; c++)
		if (layout->shown[c])
			r = put_cell(out, c ? layout->gaps[c] : 0, layout->widths[c],
			             columns[c].left_aligned, columns[c].title, "", "");
	return r < 0 ? r : lp_put(out, "%s\n", lp_style_reset(style));
}

/* How many are in use but not in the table, and that they are no worse than what is. */
static int put_rest(const struct lp_style *style, FILE *out)
{
	const struct lp_limits *limits = &style->report->limits;
	char number[LP_FIGURE_TEXT], percent[LP_FIGURE_TEXT];
	uint32_t pressure = 0;
	uint64_t more = 0;
	size_t at = 0, shown = 0;
	const struct lp_limit *next = lp_style_next(style, &at, &shown);
	for (size_t i = 0; i < limits->n; i++) {
		const struct lp_limit *limit = &limits->items[i];
		if (limit == next) {
			next = lp_style_next(style, &at, &shown);
		} else if (lp_style_is_shown(style, limit)) {
			more++;
			pressure = limit->pressure > pressure ? limit->pressure : pressure;
		}
	}
	if (!more)
		return 0;
	bool traces = pressure < 10;
	lp_text_percent(traces ? 10 : pressure, percent);
	return lp_put(out, "and %s more, %s %s: --all\n", lp_text_count(more, number),
	              traces ? "under" : "at most", percent);
}

static int put_nothing(const struct lp_style *style, FILE *out)
{
	const struct lp_report *report = style->report;
	if (!report->limits.n && report->only && report->only->absent)
		return lp_put(out, "%s\n", report->only->absent(report->snapshot));
	return lp_put(out, style->report->limits.n ? "Nothing with a limit is in use.\n"
	                                           : "No limit could be read.\n");
}

int lp_table_write(const struct lp_style *style, FILE *out)
{
	struct measure m = {0};
	const struct lp_limit *limit;
	size_t at = 0, shown = 0;
	while ((limit = lp_style_next(style, &at, &shown)))
		measure_row(style, limit, &m);
	if (!shown)
		return put_nothing(style, out);

	struct layout layout = lay_out(style, &m);
	int r = put_titles(style, &layout, out);
	at = shown = 0;
	while (r == 0 && (limit = lp_style_next(style, &at, &shown))) {
		struct row row;
		row_make(style, limit, &row);
		row_fit(style, &layout, limit, &row);
		r = put_row(style, &layout, &row, out);
		if (r == 0 && (!style->rows || row.concern != LP_CONCERN_NONE))
			r = lp_owners_write(style, limit, layout.widths[USED] + layout.gaps[LIMIT],
			                    out);
	}
	return r < 0 ? r : put_rest(style, out);
}
