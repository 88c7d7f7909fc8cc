/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int lp_fail(struct lp_error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		(void)vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return -code;
}
