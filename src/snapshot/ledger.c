/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/ledger.h"

#include <stdlib.h>

const char *lp_refusal_name(enum lp_refusal refusal)
{
	return refusal == LP_REFUSAL_BOUND_PORT ? "bound-port" : "no-port";
}

void lp_refused_add(struct lp_refused *sum, const struct lp_ledger_refusal *refusal)
{
	sum->n += refusal->refused;
	if (!sum->most || refusal->refused > sum->most->refused)
		sum->most = refusal;
	if (!sum->last || refusal->last_ms > sum->last->last_ms)
		sum->last = refusal;
}

void lp_ledger_facts_free(struct lp_ledger_facts *facts)
{
	if (!facts)
		return;
	for (size_t i = 0; i < facts->n_names; i++)
		free(facts->names[i].name);
	free(facts->names);
	free(facts->actors);
	free(facts->refusals);
	free(facts->searches);
	free(facts);
}

const char *lp_ledger_netns_name(const struct lp_ledger_facts *facts, struct lp_netns_id id)
{
	for (size_t i = 0; i < facts->n_names; i++)
		if (lp_netns_id_is(facts->names[i].id, id))
			return facts->names[i].name;
	return NULL;
}

uint64_t lp_search_count(const uint64_t times[LP_SEARCH_TIMES])
{
	uint64_t n = 0;
	for (size_t i = 0; i < LP_SEARCH_TIMES; i++)
		n += times[i];
	return n;
}

struct lp_figure lp_search_quantile(const uint64_t times[LP_SEARCH_TIMES], double part)
{
	uint64_t all = lp_search_count(times), below = 0;
	if (!all)
		return (struct lp_figure){0};
	for (size_t i = 0; i < LP_SEARCH_TIMES; i++) {
		below += times[i];
		if ((double)below >= part * (double)all && i + 1 < LP_SEARCH_TIMES)
			return lp_figure(UINT64_C(1) << (i + 10));
	}
	return lp_figure(UINT64_MAX);
}
