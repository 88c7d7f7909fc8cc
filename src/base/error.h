/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Errors go up as negative errno; the sentence for people is made where the facts are known and
 * carried beside it, to be printed once, by the command.
 */

struct lp_error {
	char text[512]; /* one line, no newline; empty when nothing was said */
};

/* Sets err->text (err may be NULL) and returns -code. code is a positive errno. */
int lp_fail(struct lp_error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
