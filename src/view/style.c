/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/style.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Under this the table has no room left for what its rows are about. */
enum { NARROWEST = 40 };

struct lp_locale lp_locale_enter(void)
{
	struct lp_locale locale = {.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL)};
	if (locale.utf8)
		locale.before = uselocale(locale.utf8);
	return locale;
}

void lp_locale_leave(const struct lp_locale *locale)
{
	if (!locale->utf8)
		return;
	uselocale(locale->before);
	freelocale(locale->utf8);
}

struct lp_style lp_style_make(const struct lp_report *report, const struct lp_text_options *options)
{
	bool unicode = options->unicode;
	size_t width = options->width ? options->width : 80;
	return (struct lp_style){
	        .report = report,
	        .width = width < NARROWEST ? NARROWEST : width,
	        .rows = options->rows,
	        .colour = options->colour,
	        .unicode = unicode,
	        .arrow = unicode ? "→" : "->",
	        .dot = unicode ? " · " : " - ",
	        .unknown = unicode ? "–" : "-",
	        .ellipsis = unicode ? "…" : "..",
	        .about = unicode ? "±" : "~",
	};
}

const struct lp_forecast *lp_style_forecast(const struct lp_style *style,
                                            const struct lp_limit *limit)
{
	return &style->report->forecasts[limit - style->report->limits.items];
}

enum lp_concern lp_style_concern(const struct lp_style *style, const struct lp_limit *limit)
{
	enum { HIGH = 8000, SEVERE = 9500, SOON_S = 60 };
	const struct lp_real *end = &lp_style_forecast(style, limit)->exhausted_in_s;
	if (limit->pressure >= SEVERE)
		return LP_CONCERN_SEVERE;
	if (limit->pressure >= HIGH || (end->known && end->n <= SOON_S))
		return LP_CONCERN_HIGH;
	return LP_CONCERN_NONE;
}

const char *lp_style_colour(const struct lp_style *style, enum lp_concern concern)
{
	static const char *const sequences[] = {
	        [LP_CONCERN_NONE] = "",
	        [LP_CONCERN_HIGH] = "\033[33m",
	        [LP_CONCERN_SEVERE] = "\033[1;31m",
	};
	return style->colour ? sequences[concern] : "";
}

const char *lp_style_bold(const struct lp_style *style)
{
	return style->colour ? "\033[1m" : "";
}

const char *lp_style_reset(const struct lp_style *style)
{
	return style->colour ? "\033[0m" : "";
}

void lp_style_netns(const struct lp_style *style, size_t index, char buf[LP_CELL])
{
	const struct lp_netns *netns = &style->report->snapshot->netns[index];
	if (netns->name)
		(void)snprintf(buf, LP_CELL, "%s", netns->name);
	else
		(void)snprintf(buf, LP_CELL, "%" PRIu64, netns->inode);
	lp_text_clean(buf, style->unicode);
}

void lp_style_where(const struct lp_style *style, const struct lp_limit *limit, char buf[LP_CELL])
{
	buf[0] = '\0';
	if (!limit->kind->where)
		return;
	limit->kind->where(limit, style->arrow, buf, LP_CELL);
	/* the arrow is ASCII where the rest must be */
	lp_text_clean(buf, style->unicode);
}

void lp_style_shorten(const struct lp_style *style, const char *where, size_t width,
                      char buf[LP_CELL])
{
	enum { SPACES = 2, LEAST = 6, LEAST_BESIDE_WHOLE = 4 };
	const char *arrow = strstr(where, style->arrow);
	size_t beside = lp_text_width(style->arrow) + SPACES;
	if (!arrow || arrow == where || width < beside + 2 * LEAST ||
	    lp_text_width(where) <= width) {
		lp_text_shorten(where, width, style->ellipsis, buf, LP_CELL);
		return;
	}
	char near[LP_CELL], near_cut[LP_CELL], far_cut[LP_CELL];
	const char *far = arrow + strlen(style->arrow) + 1;
	(void)snprintf(near, sizeof(near), "%.*s", (int)(arrow - where - 1), where);
	/* a namespace before it tells more than the own address does */
	char *tag_end = strstr(near, ": ");
	if (tag_end)
		*tag_end = '\0';
	size_t far_width = lp_text_width(far);
	size_t left = width - beside;
	size_t near_width = left > far_width + LEAST_BESIDE_WHOLE ? left - far_width : LEAST;
	lp_text_shorten(near, near_width, style->ellipsis, near_cut, sizeof(near_cut));
	lp_text_shorten(far, left - lp_text_width(near_cut), style->ellipsis, far_cut,
	                sizeof(far_cut));
	(void)snprintf(buf, LP_CELL, "%.80s %s %.80s", near_cut, style->arrow, far_cut);
}

void lp_style_amount(const struct lp_style *style, const struct lp_limit *limit, uint64_t amount,
                     char buf[LP_FIGURE_TEXT])
{
	/* file-max is LONG_MAX where systemd set it: people say unlimited */
	enum { UNLIMITED_BITS = 62 };
	const struct lp_figure *page = &style->report->snapshot->machine.page_size;
	if (amount >> UNLIMITED_BITS)
		(void)snprintf(buf, LP_FIGURE_TEXT, "unlimited");
	else if (limit->kind->unit == LP_UNIT_PAGES && page->known)
		lp_text_bytes(amount * page->n, buf);
	else
		lp_text_count(amount, buf);
}

struct lp_figure lp_report_time_wait(const struct lp_report *report)
{
	const struct lp_snapshot *snapshot = report->snapshot;
	struct lp_figure sum = lp_figure(0);
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		if (!snapshot->netns[i].time_wait.known)
			return (struct lp_figure){0};
		sum.n += snapshot->netns[i].time_wait.n;
	}
	return sum;
}

bool lp_style_is_shown(const struct lp_style *style, const struct lp_limit *limit)
{
	if (lp_style_concern(style, limit) != LP_CONCERN_NONE && !limit->echo)
		return true;
	if (lp_limit_is_new_destination(limit))
		return false; /* has a line of its own */
	return style->rows == 0 || (limit->used > 0 && !limit->echo);
}

/* Used by less than a percent, and nothing to worry about. */
static bool is_trifle(const struct lp_style *style, const struct lp_limit *limit)
{
	enum { WORTH_A_ROW = 100 };
	return limit->pressure < WORTH_A_ROW && lp_style_concern(style, limit) == LP_CONCERN_NONE;
}

const struct lp_limit *lp_style_next(const struct lp_style *style, size_t *at, size_t *shown)
{
	enum { AT_LEAST = 3 }; /* a screen of trifles is better than an empty one */
	const struct lp_limits *limits = &style->report->limits;
	while (*at < limits->n && (!style->rows || *shown < style->rows)) {
		const struct lp_limit *limit = &limits->items[(*at)++];
		if (!lp_style_is_shown(style, limit) ||
		    (style->rows && *shown >= AT_LEAST && is_trifle(style, limit)))
			continue;
		(*shown)++;
		return limit;
	}
	return NULL;
}

int lp_put(FILE *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	errno = 0;
	int r = vfprintf(out, format, args);
	va_end(args);
	if (r >= 0)
		return 0;
	return lp_errno();
}

/* Bytes of text that fit in `room` columns, up to a space; a longer word goes whole. */
static size_t line_bytes(const char *text, size_t room)
{
	size_t fits = 0;
	for (size_t i = 0;; i++) {
		if (text[i] && text[i] != ' ')
			continue;
		char line[1024];
		(void)snprintf(line, sizeof(line), "%.*s", (int)i, text);
		if (fits && lp_text_width(line) > room)
			return fits;
		fits = i;
		if (!text[i])
			return fits;
	}
}

int lp_style_indented(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                      const char *text)
{
	for (size_t line = 0; *text; line++) {
		size_t indent = line ? rest : first;
		size_t bytes = line_bytes(text, style->width - indent);
		int r = lp_put(out, "%*s%.*s\n", (int)indent, "", (int)bytes, text);
		if (r < 0)
			return r;
		text += bytes;
		text += strspn(text, " ");
	}
	return 0;
}

int lp_style_paragraph(const struct lp_style *style, FILE *out, const char *text)
{
	return lp_style_indented(style, out, 0, 2, text);
}

/* Puts the style's arrow, which takes no more bytes, into the text, and makes it safe to print. */
static void draw(const struct lp_style *style, char *text)
{
	static const char arrow[] = "→";
	char *to = text;
	for (const char *from = text; *from;) {
		if (!strncmp(from, arrow, strlen(arrow))) {
			to = mempcpy(to, style->arrow, strlen(style->arrow));
			from += strlen(arrow);
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	lp_text_clean(text, style->unicode);
}

int lp_style_vsay(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                  const char *format, va_list args)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	draw(style, text);
	return lp_style_indented(style, out, first, rest, text);
}

int lp_style_say(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                 const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int r = lp_style_vsay(style, out, first, rest, format, args);
	va_end(args);
	return r;
}
