/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/net/netstat and snmp: what is refused sets nothing. */

#include "kernel/netstat.h"
#include "text.h"

static size_t known(struct lp_tcp_counters *counters)
{
	size_t n = 0;
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++)
		n += lp_tcp_figure(counters, &lp_tcp_counter_list[i])->known;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_tcp_counters counters = {0};
	int r = lp_netstat_parse(text, &counters);
	must_hold((r == 0) == (known(&counters) > 0));
	must_hold(r < 0 || (size && text[strlen(text) - 1] == '\n'));
	free(text);
	return 0;
}
