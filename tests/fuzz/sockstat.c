/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/net/sockstat and sockstat6: what is refused sets nothing. */

#include "kernel/kernel.h"
#include "text.h"

static void check_four(const char *text)
{
	struct lp_netns netns = {0};
	struct lp_machine machine = {0};
	if (lp_sockstat_parse(text, &netns, &machine) == 0)
		return;
	must_hold(!netns.in_use4.known && !netns.time_wait.known);
	must_hold(!machine.orphans.known && !machine.tcp_allocated.known &&
	          !machine.tcp_pages.known);
}

static void check_six(const char *text)
{
	struct lp_netns netns = {0};
	if (lp_sockstat6_parse(text, &netns) < 0)
		must_hold(!netns.in_use6.known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	check_four(text);
	check_six(text);
	free(text);
	return 0;
}
