/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/number.h"
#include "kernel/kernel.h"

enum { LAST_PORT = LP_PORTS - 1 };

int lp_range_parse(const char *text, uint32_t *low, uint32_t *high)
{
	uint64_t bounds[2];
	int r = lp_number_list(text, LAST_PORT, bounds, 2);
	if (r < 0 || bounds[0] > bounds[1])
		return -EINVAL;
	*low = (uint32_t)bounds[0];
	*high = (uint32_t)bounds[1];
	return 0;
}

/* "8080" or "9000-9010". */
static int parse_ports(const char **text, struct lp_port_map *map)
{
	uint64_t low, high;
	if (lp_number_parse(text, LAST_PORT, &low) < 0)
		return -EINVAL;
	high = low;
	if (**text == '-') {
		(*text)++;
		if (lp_number_parse(text, LAST_PORT, &high) < 0 || high < low)
			return -EINVAL;
	}
	for (uint64_t port = low; port <= high; port++)
		lp_port_set(map, (uint32_t)port);
	return 0;
}

int lp_port_list_parse(const char *text, struct lp_port_map *map)
{
	struct lp_port_map found = {{0}};
	while (*text && *text != '\n') {
		if (parse_ports(&text, &found) < 0)
			return -EINVAL;
		if (*text != ',')
			break;
		text++;
		if (!*text || *text == '\n')
			return -EINVAL; /* a comma promises one more: torn */
	}
	if (*text == '\n')
		text++;
	if (*text)
		return -EINVAL;
	for (size_t i = 0; i < LP_PORTS / 64; i++)
		map->bits[i] |= found.bits[i];
	return 0;
}
