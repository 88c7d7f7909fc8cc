/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figures as people read them, and text measured in columns of a terminal. Widths and characters
 * go by the LC_CTYPE of the calling thread; figures are the same in every locale.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LP_FIGURE_TEXT = 32 };

/* "28,232". Returns buf, as those below do. */
const char *lp_text_count(uint64_t n, char buf[LP_FIGURE_TEXT]);

/* What a regular noun ends in behind that number: "" or "s". */
const char *lp_text_plural(uint64_t n);

/* "412.3 MiB", "900 B". */
const char *lp_text_bytes(uint64_t bytes, char buf[LP_FIGURE_TEXT]);

/* Permyriad as percents with one decimal, rounded down: 9985 is "99.8 %". */
const char *lp_text_percent(uint32_t permyriad, char buf[LP_FIGURE_TEXT]);

/* "470.5", "0.032", "0.0003": a rate, with three decimals below 1, or one figure. Not negative. */
const char *lp_text_rate(double n, char buf[LP_FIGURE_TEXT]);

/* "470.5", "12,345.6": a rate or another fraction with one decimal. Not negative. */
const char *lp_text_real(double n, char buf[LP_FIGURE_TEXT]);

/* A time to go, rounded down, in its largest fitting unit: "38 s", "4 min", "3 h", "12 d"; over
 * 1000 days "years". */
const char *lp_text_span(double seconds, char buf[LP_FIGURE_TEXT]);

/* Columns of a terminal that the text takes. What is no character counts one. */
size_t lp_text_width(const char *text);

/* lp_utf8_clean(), and without `unicode` all that is not ASCII becomes '?' too. In place. */
void lp_text_clean(char *text, bool unicode);

/*
 * The text in at most `width` columns, its middle replaced by `ellipsis` where it is longer; the
 * tail is kept longer than the head, because ports stand at the end. Cut to fit buf.
 */
void lp_text_shorten(const char *text, size_t width, const char *ellipsis, char *buf, size_t size);
