/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The whole answer for people, and its first line. */

#include <errno.h>
#include <time.h>

#include "base/error.h"
#include "view/style.h"

static void took_text(int64_t us, char buf[LP_CELL])
{
	char number[LP_FIGURE_TEXT];
	if (us < 10000)
		(void)snprintf(buf, LP_CELL, "%s ms", lp_text_real((double)us / 1000, number));
	else if (us < 10000000)
		(void)snprintf(buf, LP_CELL, "%s ms", lp_text_count((uint64_t)us / 1000, number));
	else
		(void)snprintf(buf, LP_CELL, "%s s", lp_text_real((double)us / 1e6, number));
}

static void namespaces_text(const struct lp_style *style, char buf[LP_CELL])
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	char number[LP_FIGURE_TEXT], name[LP_CELL];
	if (snapshot->n_netns != 1) {
		(void)snprintf(buf, LP_CELL, "%s namespaces",
		               lp_text_count(snapshot->n_netns, number));
		return;
	}
	lp_style_netns(style, 0, name);
	(void)snprintf(buf, LP_CELL, "namespace %.100s", name);
}

static void sockets_text(const struct lp_snapshot *snapshot, char buf[LP_CELL])
{
	struct lp_figure sockets = lp_snapshot_sockets(snapshot);
	char number[LP_FIGURE_TEXT];
	if (sockets.known)
		(void)snprintf(buf, LP_CELL, "%s TCP socket%s", lp_text_count(sockets.n, number),
		               lp_text_plural(sockets.n));
	else
		(void)snprintf(buf, LP_CELL, "TCP sockets not counted");
}

static void time_text(int64_t ms, char buf[LP_CELL])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	if (!gmtime_r(&seconds, &tm) || !strftime(buf, LP_CELL, "%Y-%m-%d %H:%M:%S UTC", &tm))
		buf[0] = '\0';
}

enum { HOST, KERNEL, NAMESPACES, SOCKETS, TOOK, WHOLE, AT, PARTS };

static void summary_parts(const struct lp_style *style, char parts[PARTS][LP_CELL])
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	char took[LP_CELL];
	(void)snprintf(parts[HOST], LP_CELL, "%s", snapshot->machine.host);
	lp_text_clean(parts[HOST], style->unicode);
	(void)snprintf(parts[KERNEL], LP_CELL, "Linux %s", snapshot->machine.kernel);
	lp_text_clean(parts[KERNEL], style->unicode);
	namespaces_text(style, parts[NAMESPACES]);
	sockets_text(snapshot, parts[SOCKETS]);
	took_text(snapshot->took_us, took);
	(void)snprintf(parts[TOOK], LP_CELL, "read in %.60s", took);
	(void)snprintf(parts[WHOLE], LP_CELL, "%s", snapshot->n_gaps ? "incomplete" : "");
	time_text(snapshot->taken_at_ms, parts[AT]);
}

/* Goes on in a second line where the first is full, but not for the time: that is left out then. */
int lp_summary_write(const struct lp_style *style, FILE *out)
{
	char parts[PARTS][LP_CELL];
	size_t column = 0, dot = lp_text_width(style->dot);
	summary_parts(style, parts);
	int r = lp_put(out, "%s", lp_style_bold(style));
	for (int i = 0; i < PARTS && r == 0; i++) {
		size_t width = lp_text_width(parts[i]);
		bool fits = column + dot + width <= style->width;
		if (!width || (i == AT && !fits))
			continue;
		const char *before = column == 0 ? "" : fits ? style->dot : "\n  ";
		r = lp_put(out, "%s%s", before, parts[i]);
		column = fits || column == 0 ? column + (column ? dot : 0) + width : 2 + width;
	}
	return r < 0 ? r : lp_put(out, "%s\n\n", lp_style_reset(style));
}

static int write_all(const struct lp_style *style, FILE *out)
{
	int r = lp_summary_write(style, out);
	if (r == 0)
		r = lp_table_write(style, out);
	if (r == 0)
		r = lp_findings_write(style, out);
	if (r == 0)
		r = lp_notes_write(style, out);
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	return r;
}

int lp_view_text(const struct lp_report *report, const struct lp_text_options *options, FILE *out)
{
	struct lp_locale locale = lp_locale_enter();
	struct lp_text_options plain = *options;
	if (!locale.utf8)
		plain.unicode = false;
	struct lp_style style = lp_style_make(report, &plain);
	int r = write_all(&style, out);
	lp_locale_leave(&locale);
	return r;
}
