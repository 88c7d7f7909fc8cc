/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/sentence.h"

#include <stdarg.h>
#include <stdio.h>

void lp_add(struct lp_sentence *sentence, const char *format, ...)
{
	size_t room = sizeof(sentence->text) - sentence->n;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(sentence->text + sentence->n, room, format, args);
	va_end(args);
	if (n > 0)
		sentence->n += (size_t)n < room ? (size_t)n : room - 1;
}
