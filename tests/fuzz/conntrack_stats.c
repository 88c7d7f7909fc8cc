/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/net/stat/nf_conntrack: what is refused sets nothing. */

#include "kernel/conntrack_stats.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_conntrack_counters counters = {0};
	bool taken = lp_conntrack_stats_parse(text, &counters) == 0;
	must_hold(counters.drop.known == taken);
	free(text);
	return 0;
}
