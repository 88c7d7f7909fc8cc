/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Figures of another machine, and a plan made of them. */

#include <stdlib.h>

#include "api/machine_file.h"
#include "fuzz.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct lp_plan_wishes wishes = {
	        .rate = lp_real(1000), .requests = 1, .hold_s = 1, .sources = 1, .destinations = 1};
	struct lp_plan_machine machine;
	struct lp_error err = {0};
	char *text = fuzz_text(data, size);
	struct lp_plan plan;
	if (lp_machine_file_parse(text, NULL, &machine, &err) == 0)
		lp_plan_make(&wishes, &machine, &plan);
	else if (!*err.text)
		abort();
	free(text);
	return 0;
}
