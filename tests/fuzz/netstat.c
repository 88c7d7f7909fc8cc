/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/net/netstat and snmp: what is refused sets nothing. */

#include "kernel/netstat.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_tcp_counters none = {0}, counters = {0};
	int r = lp_netstat_parse(text, &counters);
	must_hold(r == 0 || !memcmp(&counters, &none, sizeof(none)));
	must_hold(r < 0 || (size && text[strlen(text) - 1] == '\n'));
	free(text);
	return 0;
}
