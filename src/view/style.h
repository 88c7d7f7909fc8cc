/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the text view draws with, and how it names things. Inner header of src/view. */

#include <locale.h>
#include <stdarg.h>

#include "base/text.h"
#include "view/view.h"

/* How much a limit has to worry people: yellow, red. */
enum lp_concern { LP_CONCERN_NONE, LP_CONCERN_HIGH, LP_CONCERN_SEVERE };

enum { LP_CELL = 192 }; /* bytes of one cell of the table */

struct lp_style {
	const struct lp_report *report;
	size_t width;
	size_t rows; /* 0: all */
	bool colour;
	bool unicode;
	const char *arrow, *dot, *unknown, *ellipsis, *about;
};

/*
 * Puts the calling thread into a locale where characters are UTF-8 and figures are as in C,
 * whatever the program's own. utf8 is 0 where there is no such locale; the thread is then in the
 * one it was in.
 */
struct lp_locale {
	locale_t utf8, before;
};
struct lp_locale lp_locale_enter(void);
void lp_locale_leave(const struct lp_locale *locale);

struct lp_style lp_style_make(const struct lp_report *report,
                              const struct lp_text_options *options);

/* What is known of where a limit of the report is going. */
const struct lp_forecast *lp_style_forecast(const struct lp_style *style,
                                            const struct lp_limit *limit);

/* High from 80 % on, and where it runs out within a minute; severe from 95 % on. */
enum lp_concern lp_style_concern(const struct lp_style *style, const struct lp_limit *limit);

/* Escape sequences, "" without colour. */
const char *lp_style_colour(const struct lp_style *style, enum lp_concern concern);
const char *lp_style_bold(const struct lp_style *style);
const char *lp_style_reset(const struct lp_style *style);

/* "blue", "host", or the inode. */
void lp_style_netns(const struct lp_style *style, size_t index, char buf[LP_CELL]);

/* " nginx.service", " docker 3f2a9c0d7b1e": as short as people write it, or "". Not cleaned. */
void lp_style_cgroup(const char *cgroup, uint64_t id, char buf[LP_CELL]);

/* What the limit is a limit of, safe to print; empty when the kind says it all. */
void lp_style_where(const struct lp_style *style, const struct lp_limit *limit, char buf[LP_CELL]);

/*
 * `where` in at most `width` columns. Of "A → B" the far end is kept whole as long as possible: it
 * tells one destination from the next.
 */
void lp_style_shorten(const struct lp_style *style, const char *where, size_t width,
                      char buf[LP_CELL]);

/* An amount in the kind's unit: "28,232", or "1.5 GiB" for pages. */
void lp_style_amount(const struct lp_style *style, const struct lp_limit *limit, uint64_t amount,
                     char buf[LP_FIGURE_TEXT]);

/* TIME_WAIT entries of all namespaces: known if all were. */
struct lp_figure lp_report_time_wait(const struct lp_report *report);

/* Whether the limit is the pool of a destination that nobody uses yet. */
static inline bool lp_limit_is_new_destination(const struct lp_limit *limit)
{
	return limit->family != 0;
}

/* Whether the table shows this limit, room permitting. */
bool lp_style_is_shown(const struct lp_style *style, const struct lp_limit *limit);

/*
 * The limits that the table shows, in order: `at` begins as 0 and is left after the one returned,
 * `shown` begins as 0 and counts. NULL after the last, or after style->rows of them.
 */
const struct lp_limit *lp_style_next(const struct lp_style *style, size_t *at, size_t *shown);

/* fprintf() that returns 0 or a negative errno. */
int lp_put(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes a paragraph, broken at spaces to the style's width, continued under its third column.
 * Negative errno when writing failed.
 */
int lp_style_paragraph(const struct lp_style *style, FILE *out, const char *text);
/* The same, its first line and those after it indented by so many columns. */
int lp_style_indented(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                      const char *text);

/*
 * lp_style_indented() of a format: "→" in it becomes the style's arrow, and what is not safe to
 * print '?'. Negative errno, -ENOMEM too.
 */
int lp_style_say(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
int lp_style_vsay(const struct lp_style *style, FILE *out, size_t first, size_t rest,
                  const char *format, va_list args) __attribute__((format(printf, 5, 0)));

/* Whether a finding is about this limit, as a cause or a symptom. */
bool lp_style_has_finding(const struct lp_style *style, const struct lp_limit *limit);

/* The table, and what is said above and below it. Negative errno when writing failed. */
int lp_table_write(const struct lp_style *style, FILE *out);
int lp_summary_write(const struct lp_style *style, FILE *out);
/* One finding, after an empty line; of its remedies the best, with style->rows 0 all. */
int lp_finding_write(const struct lp_style *style, FILE *out, const struct lp_finding *finding);
int lp_findings_write(const struct lp_style *style, FILE *out);
int lp_notes_write(const struct lp_style *style, FILE *out);
int lp_log_write(const struct lp_style *style, FILE *out);
int lp_counters_write(const struct lp_style *style, FILE *out);

/* Lines below a row of the table: who has its connections, where that was looked for. */
int lp_owners_write(const struct lp_style *style, const struct lp_limit *limit, size_t indent,
                    FILE *out);
/* A line for each of at most three pools of source NAT that begin to refuse. */
int lp_nat_write(const struct lp_style *style, FILE *out);
/* Of connection tracking: a few lines for each of at most three namespaces. */
int lp_conntrack_write(const struct lp_style *style, FILE *out);
