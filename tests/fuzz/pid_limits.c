/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/PID/limits and the table's size of /proc/PID/status. */

#include "kernel/scan.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	uint64_t soft = 77, hard = 78, table = 77;
	if (lp_limits_parse(text, &soft, &hard) < 0)
		must_hold(soft == 77 && hard == 78);
	if (lp_fd_size_parse(text, &table) < 0)
		must_hold(table == 77);
	must_hold(table <= UINT32_MAX);
	free(text);
	return 0;
}
