/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/utf8.h"

const char *lp_text_count(uint64_t n, char buf[LP_FIGURE_TEXT])
{
	char plain[LP_FIGURE_TEXT];
	int digits = snprintf(plain, sizeof(plain), "%" PRIu64, n);
	char *out = buf;
	for (int i = 0; i < digits; i++) {
		if (i > 0 && (digits - i) % 3 == 0)
			*out++ = ',';
		*out++ = plain[i];
	}
	*out = '\0';
	return buf;
}

const char *lp_text_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* tenths: 4705 is "470.5". Integers, so that no locale's decimal point gets in. */
static const char *tenths_text(uint64_t tenths, char buf[LP_FIGURE_TEXT])
{
	char whole[LP_FIGURE_TEXT];
	lp_text_count(tenths / 10, whole);
	(void)snprintf(buf, LP_FIGURE_TEXT, "%.28s.%u", whole, (unsigned)(tenths % 10));
	return buf;
}

const char *lp_text_bytes(uint64_t bytes, char buf[LP_FIGURE_TEXT])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (bytes < 1024) {
		(void)snprintf(buf, LP_FIGURE_TEXT, "%u B", (unsigned)bytes);
		return buf;
	}
	double n = (double)bytes / 1024;
	size_t unit = 0;
	while (n >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1024;
		unit++;
	}
	char number[LP_FIGURE_TEXT];
	lp_text_real(n, number);
	(void)snprintf(buf, LP_FIGURE_TEXT, "%.26s %s", number, units[unit]);
	return buf;
}

const char *lp_text_percent(uint32_t permyriad, char buf[LP_FIGURE_TEXT])
{
	(void)snprintf(buf, LP_FIGURE_TEXT, "%u.%u %%", permyriad / 100, permyriad / 10 % 10);
	return buf;
}

const char *lp_text_real(double n, char buf[LP_FIGURE_TEXT])
{
	if (n < 1e15)
		return tenths_text((uint64_t)(n * 10 + 0.5), buf);
	(void)snprintf(buf, LP_FIGURE_TEXT, "%.0e", n);
	return buf;
}

const char *lp_text_rate(double n, char buf[LP_FIGURE_TEXT])
{
	if (n >= 1 || n == 0)
		return lp_text_real(n, buf);
	(void)snprintf(buf, LP_FIGURE_TEXT, n < 0.001 ? "%.1g" : "%.3f", n);
	return buf;
}

const char *lp_text_span(double seconds, char buf[LP_FIGURE_TEXT])
{
	static const struct {
		double below, size;
		const char *name;
	} units[] = {{120, 1, "s"},
	             {7200, 60, "min"},
	             {172800, 3600, "h"},
	             {86400.0 * 1000, 86400, "d"}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (seconds < units[i].below) {
			(void)snprintf(buf, LP_FIGURE_TEXT, "%u %s",
			               (unsigned)(seconds / units[i].size), units[i].name);
			return buf;
		}
	(void)snprintf(buf, LP_FIGURE_TEXT, "years");
	return buf;
}

struct character {
	size_t bytes;
	size_t columns;
};

/* The character at text, which is not at its end. */
static struct character next_character(const char *text)
{
	if (*text >= ' ' && *text <= '~') /* nearly all of them, in every locale */
		return (struct character){.bytes = 1, .columns = 1};
	wchar_t wide;
	mbstate_t state = {0};
	size_t rest = strnlen(text, MB_LEN_MAX);
	size_t bytes = mbrtowc(&wide, text, rest, &state);
	if (bytes == 0 || bytes > rest)
		return (struct character){.bytes = 1, .columns = 1};
	int columns = wcwidth(wide);
	return (struct character){.bytes = bytes, .columns = columns < 0 ? 1 : (size_t)columns};
}

size_t lp_text_width(const char *text)
{
	size_t width = 0;
	while (*text) {
		struct character c = next_character(text);
		width += c.columns;
		text += c.bytes;
	}
	return width;
}

void lp_text_clean(char *text, bool unicode)
{
	lp_utf8_clean(text);
	if (unicode)
		return;
	char *out = text;
	for (; *text; text++) {
		bool continued = (*text & 0xc0) == 0x80;
		if (!continued)
			*out++ = (char)(*text & 0x80 ? '?' : *text);
	}
	*out = '\0';
}

/* Bytes of the longest start of text that takes at most `width` columns. */
static size_t head_bytes(const char *text, size_t width)
{
	size_t bytes = 0;
	while (text[bytes]) {
		struct character c = next_character(text + bytes);
		if (c.columns > width)
			break;
		width -= c.columns;
		bytes += c.bytes;
	}
	return bytes;
}

void lp_text_shorten(const char *text, size_t width, const char *ellipsis, char *buf, size_t size)
{
	size_t whole = lp_text_width(text);
	if (whole <= width) {
		(void)snprintf(buf, size, "%s", text);
		return;
	}
	size_t dots = lp_text_width(ellipsis);
	size_t left = width > dots ? width - dots : 0;
	size_t head = left / 3;
	const char *tail = text + head_bytes(text, head);
	while (lp_text_width(tail) > left - head)
		tail += next_character(tail).bytes;
	(void)snprintf(buf, size, "%.*s%s%s", (int)head_bytes(text, head), text, ellipsis, tail);
}
