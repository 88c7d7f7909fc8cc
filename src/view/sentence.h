/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A sentence as it grows; what is longer is cut. Inner header of src/view. */

#include <stddef.h>

struct lp_sentence {
	char text[1024];
	size_t n;
};

void lp_add(struct lp_sentence *sentence, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
