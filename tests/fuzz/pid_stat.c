/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/PID/stat, whose command may hold any byte. */

#include "kernel/scan.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_stat stat = {.state = '?', .threads = 77};
	if (lp_stat_parse(text, &stat) < 0)
		must_hold(stat.state == '?' && stat.threads == 77);
	else
		must_hold(stat.state >= 'A' && stat.state <= 'z' && stat.threads <= UINT32_MAX);
	free(text);
	return 0;
}
