/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ip_local_port_range and ip_local_reserved_ports. */

#include <stdio.h>

#include "kernel/kernel.h"
#include "text.h"

static void check_range(const char *text)
{
	uint32_t low = 7, high = 6;
	if (lp_range_parse(text, &low, &high) < 0)
		must_hold(low == 7 && high == 6);
	else
		must_hold(low <= high && high < LP_PORTS);
}

/* Writes the list as the kernel does. */
static void print_list(const struct lp_port_map *map, char *text, size_t size)
{
	size_t length = 0;
	for (uint32_t port = 0; port < LP_PORTS; port++) {
		if (!lp_port_get(map, port))
			continue;
		uint32_t last = port;
		while (last + 1 < LP_PORTS && lp_port_get(map, last + 1))
			last++;
		const char *comma = length ? "," : "";
		length += (size_t)snprintf(text + length, size - length,
		                           last > port ? "%s%u-%u" : "%s%u", comma, port, last);
		port = last;
	}
	(void)snprintf(text + length, size - length, "\n");
}

/* What was understood, written down and read again, is the same. */
static void check_list(const char *text)
{
	static char again[8 * LP_PORTS];
	static const struct lp_port_map none;
	struct lp_port_map map = {{0}}, second = {{0}};
	if (lp_port_list_parse(text, &map) < 0) {
		must_hold(memcmp(&map, &none, sizeof(map)) == 0);
		return;
	}
	print_list(&map, again, sizeof(again));
	must_hold(lp_port_list_parse(again, &second) == 0);
	must_hold(memcmp(&map, &second, sizeof(map)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	check_range(text);
	check_list(text);
	free(text);
	return 0;
}
