/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compare.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"

static char *read_file(const char *path)
{
	_cleanup_(lp_close_file) FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;
	if (file && getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = NULL;
	}
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

void golden_compare(const char *name, const char *text)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, name);
	if (getenv("UPDATE_GOLDEN")) {
		write_file(path, text);
		return;
	}
	_cleanup_(lp_free_ptr) char *golden = read_file(path);
	if (!golden) {
		fail_msg("%s: %s (UPDATE_GOLDEN=1 makes it)", path, strerror(errno));
		return;
	}
	if (strcmp(golden, text) != 0)
		print_error("%s has\n%s\nthe view gives\n%s\n", name, golden, text);
	assert_string_equal(text, golden);
}
