/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Numbers of processes that were given again, in a recorded /proc. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "kernel/ledger.h"
#include "recorded.h"
#include "unit/unit.h"

enum { PID = 812, TICK_NS = 10000000 };

/* Three processes had the number, and another one has none of it. */
static struct lp_ledger_facts *facts_make(void)
{
	struct lp_ledger_facts *facts = calloc(1, sizeof(*facts));
	assert_non_null(facts);
	facts->actors = calloc(4, sizeof(*facts->actors));
	facts->refusals = calloc(4, sizeof(*facts->refusals));
	assert_true(facts->actors && facts->refusals);
	facts->n_actors = facts->n_refusals = 4;
	for (unsigned i = 0; i < 4; i++) {
		const struct lp_ledger_party party = {.pid = i < 3 ? PID : PID + 1,
		                                      .start_ns = (100 + i) * TICK_NS + 5};
		facts->actors[i] = (struct lp_ledger_actor){.party = party, .opened = 10 + i};
		facts->refusals[i] = (struct lp_ledger_refusal){.party = party, .refused = 1U << i};
		facts->refused += 1U << i;
	}
	return facts;
}

/* What is left of the number has that start; 0: nothing is left. The other one is there always. */
static void assert_left(const struct lp_ledger_facts *facts, unsigned start)
{
	size_t n = start ? 2 : 1;
	assert_int_equal(facts->n_actors, n);
	assert_int_equal(facts->n_refusals, n);
	assert_int_equal(facts->actors[n - 1].party.pid, PID + 1);
	assert_int_equal(facts->refusals[n - 1].party.pid, PID + 1);
	if (start) {
		assert_int_equal(facts->actors[0].opened, start - 90);
		assert_int_equal(facts->refusals[0].refused, 1U << (start - 100));
	}
	assert_int_equal(facts->refused, 8 + (start ? 1U << (start - 100) : 0));
}

static void the_one_that_runs_is_meant(void **state)
{
	(void)state;
	for (unsigned start = 100; start < 104; start++) {
		struct folder folder;
		folder_make(&folder);
		recorded_begun(&folder, "812", start);
		_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = facts_make();
		lp_ledger_mean(&folder.kernel, PID, facts);
		assert_left(facts, start < 103 ? start : 0); /* the last one is not in the ledger */
		folder_done(&folder);
	}
}

static void of_those_that_have_ended_it_is_the_last(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = facts_make();
	lp_ledger_mean(&folder.kernel, PID, facts);
	assert_left(facts, 102);
	folder_done(&folder);
}

static void a_time_namespace_moves_starts(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	folder.kernel.timens.boottime_ns = (int64_t)7 * TICK_NS;
	recorded_begun(&folder, "812", 101 + 7);
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = facts_make();
	assert_true(lp_ledger_party_runs(&folder.kernel, &facts->actors[1].party));
	assert_false(lp_ledger_party_runs(&folder.kernel, &facts->actors[0].party));
	lp_ledger_mean(&folder.kernel, PID, facts);
	assert_left(facts, 101);
	folder_done(&folder);
}

UNIT_MAIN(cmocka_unit_test(the_one_that_runs_is_meant),
          cmocka_unit_test(of_those_that_have_ended_it_is_the_last),
          cmocka_unit_test(a_time_namespace_moves_starts))
