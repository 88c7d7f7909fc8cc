/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* Ends the run as a failure when what must always hold does not. */
#define must_hold(condition)      \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* The input as a text of exactly its size, NUL-terminated as readers do. The caller's to free. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	must_hold(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}
