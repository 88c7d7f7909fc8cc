/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What system tests share: cmocka with TAP, and assertions that say what the lab said. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lab/lab.h"

/* Fails the test with the sentence in err when the call did not return 0 or more. */
#define assert_ok(call, err)                                                      \
	do {                                                                      \
		int _r = (call);                                                  \
		if (_r < 0)                                                       \
			fail_msg("%s: %s: %s", #call, strerror(-_r), (err).text); \
	} while (0)

/* The same where the errno is all there is. Gives the value. */
#define must(call)                                                   \
	({                                                           \
		int _must = (call);                                  \
		if (_must < 0)                                       \
			fail_msg("%s: %s", #call, strerror(-_must)); \
		_must;                                               \
	})

/* Fails unless n connections were made. */
#define must_count(call, wanted)                                                      \
	do {                                                                          \
		struct lab_count _c = (call);                                         \
		if (_c.n != (wanted))                                                 \
			fail_msg("%s: %u of %u: %s", #call, _c.n, (unsigned)(wanted), \
			         strerror(_c.error));                                 \
	} while (0)

/* A line that a TAP reader shows and does not count. */
#define note(...)                                   \
	do {                                        \
		(void)fprintf(stdout, "# ");        \
		(void)fprintf(stdout, __VA_ARGS__); \
		(void)fprintf(stdout, "\n");        \
		(void)fflush(stdout);               \
	} while (0)
