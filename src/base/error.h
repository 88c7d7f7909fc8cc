/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

/*
 * Errors go up as negative errno; the sentence for people is made where the facts are known and
 * carried beside it, to be printed once, by the command.
 */

struct lp_error {
	char text[512]; /* one line, no newline; empty when nothing was said */
};

/* -code. What is no error number becomes -EIO: a failure must not pass for success. */
static inline int lp_negative(int code)
{
	int r = 0 - code; /* clang 14's analyser does not follow -code */
	return r < 0 ? r : -EIO;
}

/* -errno, right after a call that failed. */
static inline int lp_errno(void)
{
	return lp_negative(errno);
}

/* Sets err->text. err may be NULL. */
void lp_say(struct lp_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets err->text (err may be NULL) to what the format says; its value is lp_negative(code). */
#define lp_fail(err, code, ...)                \
	({                                     \
		int _code = lp_negative(code); \
		lp_say(err, __VA_ARGS__);      \
		_code;                         \
	})
