/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines that people paste: whatever they are, what is picked out of them makes sense. */

#include "finding/query.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_line line;
	struct lp_query query;
	struct lp_error err = {0};
	lp_line_read(text, &line);
	must_hold(line.pid >= 0);
	must_hold(line.address.family == 0 || line.address.family == AF_INET ||
	          line.address.family == AF_INET6);
	must_hold(line.port == 0 || line.address.family);
	must_hold(!line.symptom || !line.error || lp_symptom_find(line.symptom->id));
	if (lp_query_read(text, &query, &err) < 0)
		must_hold(*err.text && !strchr(err.text, '\n'));
	free(text);
	return 0;
}
