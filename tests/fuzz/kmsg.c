/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A record of /dev/kmsg: what it says has its kind and its end. */

#include "kernel/kmsg.h"

#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry = {.what = LP_LOG_KINDS};
	char *record = fuzz_text(data, size);
	int r = lp_kmsg_take(&kmsg, record, (ssize_t)size, &entry);
	must_hold(r == 0 || r == 1 || (r < 0 && !size));
	must_hold((r == 1) == (entry.what < LP_LOG_KINDS));
	must_hold(memchr(entry.subject, '\0', sizeof(entry.subject)));
	must_hold(r != 1 || (entry.lines == 1 && entry.first_ms == entry.last_ms));
	free(record);
	return 0;
}
