/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A line of /proc/kallsyms: a name that is taken has an end, and stands in the line. */

#include "kernel/kallsyms.h"

#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[LP_SYMBOL] = "";
	uint64_t address;
	char *line = fuzz_text(data, size);
	if (lp_kallsyms_parse(line, &address, name)) {
		must_hold(memchr(name, '\0', sizeof(name)) && *name);
		must_hold(strstr(line, name));
	} else {
		must_hold(!*name);
	}
	free(line);
	return 0;
}
