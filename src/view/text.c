/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The whole answer for people, and its first line. */

#include <errno.h>
#include <time.h>

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
		               sockets.n == 1 ? "" : "s");
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

int lp_summary_write(const struct lp_style *style, FILE *out)
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	char host[LP_CELL], kernel[LP_CELL], namespaces[LP_CELL], sockets[LP_CELL], took[LP_CELL];
	char at[LP_CELL], line[8 * LP_CELL];

	(void)snprintf(host, sizeof(host), "%s", snapshot->machine.host);
	lp_text_clean(host, style->unicode);
	(void)snprintf(kernel, sizeof(kernel), "%s", snapshot->machine.kernel);
	lp_text_clean(kernel, style->unicode);
	namespaces_text(style, namespaces);
	sockets_text(snapshot, sockets);
	took_text(snapshot->took_us, took);
	time_text(snapshot->taken_at_ms, at);
	int length = snprintf(line, sizeof(line), "%s%sLinux %s%s%s%s%s%sread in %s%s%s", host,
	                      style->dot, kernel, style->dot, namespaces, style->dot, sockets,
	                      style->dot, took, snapshot->n_gaps ? style->dot : "",
	                      snapshot->n_gaps ? "incomplete" : "");
	/* when it was is good to know later, where the line has room for it */
	if (lp_text_width(line) + lp_text_width(style->dot) + lp_text_width(at) <= style->width)
		(void)snprintf(line + length, sizeof(line) - (size_t)length, "%s%s", style->dot,
		               at);
	int r = lp_put(out, "%s", lp_style_bold(style));
	if (r == 0)
		r = lp_style_paragraph(style, out, line);
	return r < 0 ? r : lp_put(out, "%s\n", lp_style_reset(style));
}

static int write_all(const struct lp_style *style, FILE *out)
{
	int r = lp_summary_write(style, out);
	if (r == 0)
		r = lp_table_write(style, out);
	if (r == 0)
		r = lp_notes_write(style, out);
	if (r == 0 && fflush(out) != 0)
		r = errno ? -errno : -EIO;
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
