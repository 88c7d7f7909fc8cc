/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the kernel log said, below the table: when, and never as a number of refusals. */

#include <inttypes.h>
#include <stdio.h>

#include "view/style.h"

/* On a screen: what was said within the hour, and so many of it. */
enum { RECENT_MS = 3600 * 1000, FEW = 4, LINE = 512 };

/* " in netns web", by its name where that is known. */
static void where_text(const struct lp_style *style, uint64_t inode, char buf[LP_CELL + 16])
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	size_t i = 0;
	while (i < snapshot->n_netns && snapshot->netns[i].inode != inode)
		i++;
	char name[LP_CELL];
	buf[0] = '\0';
	if (!inode)
		return;
	if (i < snapshot->n_netns)
		lp_style_netns(style, i, name);
	else
		(void)snprintf(name, sizeof(name), "%" PRIu64, inode);
	(void)snprintf(buf, LP_CELL + 16, " in netns %s", name);
}

static int put_entry(const struct lp_style *style, FILE *out, const struct lp_log_entry *entry)
{
	int64_t ago_ms = style->report->snapshot->taken_at_ms - entry->last_ms;
	char where[LP_CELL + 16], lines[LP_FIGURE_TEXT], ago[LP_FIGURE_TEXT], text[LINE];
	where_text(style, entry->netns, where);
	(void)snprintf(text, sizeof(text), "Kernel log: \"%s\"%s%s%s: %s line%s, the last %s ago.",
	               lp_log_kinds[entry->what].words,
	               !*entry->subject                         ? ""
	               : entry->what == LP_LOG_CONNTRACK_HELPER ? " by helper "
	                                                        : " at ",
	               entry->subject, where, lp_text_count(entry->lines, lines),
	               lp_text_plural(entry->lines),
	               lp_text_span(ago_ms > 0 ? (double)ago_ms / 1000 : 0, ago));
	lp_text_clean(text, style->unicode);
	return lp_style_paragraph(style, out, text);
}

static bool is_shown(const struct lp_style *style, const struct lp_log_entry *entry)
{
	return !style->rows || style->report->snapshot->taken_at_ms - entry->last_ms <= RECENT_MS;
}

/* With everything: what makes the lines fewer than they were. */
static int put_missing(const struct lp_style *style, FILE *out, const struct lp_log *log)
{
	char text[LINE], number[LP_FIGURE_TEXT];
	int r = 0;
	if (log->suppressed) {
		(void)snprintf(
		        text, sizeof(text),
		        "Kernel log: %s more lines of the network were held back by the "
		        "kernel; counters tell how often something was refused, lines do not.",
		        lp_text_count(log->suppressed, number));
		r = lp_style_paragraph(style, out, text);
	}
	if (r == 0 && log->lost) {
		(void)snprintf(text, sizeof(text),
		               "Kernel log: %s records were overwritten before they were read.",
		               lp_text_count(log->lost, number));
		r = lp_style_paragraph(style, out, text);
	}
	if (r == 0 && log->cut)
		r = lp_style_paragraph(style, out,
		                       "Kernel log: too long to be read to its end at once.");
	return r;
}

int lp_log_write(const struct lp_style *style, FILE *out)
{
	const struct lp_log *log = &style->report->snapshot->log;
	size_t shown = 0;
	int r = 0;
	for (size_t i = 0; i < log->n && r == 0; i++) {
		if (!is_shown(style, &log->entries[i]) || (style->rows && shown == FEW))
			continue;
		shown++;
		r = put_entry(style, out, &log->entries[i]);
	}
	if (r == 0 && !style->rows)
		r = put_missing(style, out, log);
	if (r == 0 && !style->rows && log->error) {
		char text[LINE];
		(void)snprintf(text, sizeof(text), "Kernel log: not read: %s.",
		               lp_log_unread(log->error));
		r = lp_style_paragraph(style, out, text);
	}
	return r;
}
