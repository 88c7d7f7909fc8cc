/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/PID/timens_offsets. */

#include "kernel/scan.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_timens timens = {.monotonic_ns = 77, .boottime_ns = 78};
	if (lp_timens_parse(text, &timens) < 0)
		must_hold(timens.monotonic_ns == 77 && timens.boottime_ns == 78);
	free(text);
	return 0;
}
