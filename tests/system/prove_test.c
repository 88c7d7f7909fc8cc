/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * No claim has a constant answer: in each world that it says turns it round, the verdict comes out
 * as it says and not as in the world as it is.
 */

#include "check.h"

#include <jansson.h>
#include <stdlib.h>

#include "lab/prove.h"

enum {
	MOST = 256,
	AGAIN = 2, /* so many may be measured again: what others did to the machine meanwhile */
};

static void tell(const struct lab_claim *claim, const char *verdict, double seconds, void *context)
{
	(void)context;
	if (verdict)
		note("%5.1f s  %-10s %s", seconds, verdict, claim->id);
}

static const char *verdict_of(const json_t *results, size_t index)
{
	return json_string_value(json_object_get(json_array_get(results, index), "verdict"));
}

static const char *why_of(const json_t *results, size_t index)
{
	return json_string_value(json_object_get(json_array_get(results, index), "why"));
}

/* Each claim as the world is, then in each of its turned worlds. */
static size_t plan_all(struct lab_plan plans[MOST])
{
	size_t n = 0;
	for (size_t i = 0; lab_claims[i]; i++) {
		const struct lab_claim *claim = lab_claims[i];
		plans[n++] = (struct lab_plan){.claim = claim};
		for (size_t k = 0; claim->turns && claim->turns[k].what; k++)
			plans[n++] = (struct lab_plan){.claim = claim, .turn = &claim->turns[k]};
		assert_true(n < MOST - 8);
	}
	return n;
}

/* How many came out otherwise than they say; the first of these in `wrong_ones`. */
static unsigned check_turns(const struct lab_plan plans[], size_t n, const json_t *results,
                            struct lab_plan wrong_ones[AGAIN])
{
	unsigned wrong = 0;
	const char *as_it_is = NULL;
	for (size_t i = 0; i < n; i++) {
		const char *verdict = verdict_of(results, i);
		const struct lab_turn *turn = plans[i].turn;
		if (!turn || !as_it_is) {
			assert_null(turn); /* the world as it is comes first */
			as_it_is = verdict;
			continue;
		}
		bool as_said = !strcmp(verdict, lab_verdict_name(turn->expect));
		bool differs = strcmp(verdict, as_it_is) != 0;
		if (as_said && differs)
			continue;
		note("%s: %s: %s, expected %s (%s as the world is): %s", plans[i].claim->id,
		     turn->what, verdict, lab_verdict_name(turn->expect), as_it_is,
		     why_of(results, i));
		if (wrong < AGAIN)
			wrong_ones[wrong] = plans[i];
		wrong++;
	}
	return wrong;
}

static unsigned count_not_run(const struct lab_plan plans[], size_t n, const json_t *results)
{
	unsigned not_run = 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(verdict_of(results, i), lab_verdict_name(LAB_NOT_RUN)) != 0)
			continue;
		note("%s was not run: %s", plans[i].claim->id, why_of(results, i));
		not_run++;
	}
	return not_run;
}

/* Alone this time, in the world as it is and in the turned one. */
static unsigned wrong_again(const struct lab_plan *plan)
{
	const struct lab_plan both[] = {{.claim = plan->claim}, *plan};
	struct lab_prove_options options = {.progress = tell};
	struct lab_plan ignored[AGAIN];
	json_t *results = NULL;
	must(lab_prove_plans(both, 2, &options, &results));
	unsigned wrong = count_not_run(both, 2, results) + check_turns(both, 2, results, ignored);
	json_decref(results);
	return wrong;
}

static void every_claim_turns_with_its_world(void **state)
{
	(void)state;
	struct lab_plan plans[MOST] = {0};
	size_t n = plan_all(plans);
	struct lab_prove_options options = {.progress = tell};
	json_t *results = NULL;
	must(lab_prove_plans(plans, n, &options, &results));
	assert_int_equal(json_array_size(results), n);
	unsigned not_run = count_not_run(plans, n, results);
	struct lab_plan wrong_ones[AGAIN];
	unsigned wrong = check_turns(plans, n, results, wrong_ones), still_wrong = 0;
	json_decref(results);
	assert_int_equal(not_run, 0);
	assert_in_range(wrong, 0, AGAIN);
	for (unsigned i = 0; i < wrong; i++)
		still_wrong += wrong_again(&wrong_ones[i]);
	assert_int_equal(still_wrong, 0);
}

static void every_claim_says_what_it_does(void **state)
{
	(void)state;
	size_t n = 0, turned = 0;
	for (; lab_claims[n]; n++) {
		const struct lab_claim *claim = lab_claims[n];
		assert_ptr_equal(lab_claim_find(claim->id), claim);
		assert_true(*claim->claim && *claim->source && *claim->experiment);
		assert_true(*claim->confirms && *claim->refutes);
		assert_in_range(claim->seconds, 1, 90);
		turned += claim->turns && claim->turns[0].what;
	}
	note("%zu claims, %zu of them can be turned", n, turned);
	assert_true(turned * 4 >= n * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_claim_says_what_it_does),
	        cmocka_unit_test(every_claim_turns_with_its_world),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
