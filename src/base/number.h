/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/*
 * Strict decimal numbers: digits only, no sign, no space, no overflow. *text moves behind the
 * number; 0, or -EINVAL (not a digit) or -ERANGE (over max) and nothing changed.
 */
int lp_number_parse(const char **text, uint64_t max, uint64_t *ret);

/* The whole text is one number; a newline may end it. */
int lp_number_whole(const char *text, uint64_t max, uint64_t *ret);

/* n numbers with blanks between and before; a newline may end them. All or nothing. */
int lp_number_list(const char *text, uint64_t max, uint64_t *ret, unsigned n);
