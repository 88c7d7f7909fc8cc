/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One line of /proc/net/nf_conntrack: what is taken makes sense. */

#include "kernel/conntrack_dump.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = fuzz_text(data, size);
	struct lp_conntrack_entry entry;
	if (lp_conntrack_parse_line(line, &entry) == 0)
		must_hold((entry.family == AF_INET || entry.family == AF_INET6) &&
		          entry.state <= LP_CT_STATES);
	free(line);
	return 0;
}
