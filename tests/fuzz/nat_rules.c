/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What libnftables prints of a namespace whose rules somebody else made. */

#include "kernel/nat_rules.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_nat_rules *rules = calloc(1, sizeof(*rules));
	struct lp_nat_pool pool = {.key.translated = lp_address_any(AF_INET)};
	must_hold(rules);
	(void)lp_nat_rules_parse(text, rules);
	must_hold(rules->n <= LP_NAT_RULES && rules->n_chains <= LP_NAT_CHAINS);
	struct lp_nat_range range = lp_nat_range_of(rules, &pool);
	must_hold(range.low <= range.high);
	free(rules);
	free(text);
	return 0;
}
