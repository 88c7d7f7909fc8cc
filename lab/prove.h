/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Runs claims, each in a process of its own that makes its own namespaces and dies with this one:
 * whatever ends a run, nothing of it stays behind.
 */

#include <jansson.h>
#include <stdio.h>

#include "lab/claim.h"

struct lab_prove_options {
	const struct lab_turn *turn; /* of lab_prove(); NULL: the world as it is */
	/* Called as claims begin and end; total seconds so far. NULL: nobody asks. */
	void (*progress)(const struct lab_claim *claim, const char *verdict, double seconds,
	                 void *context);
	void *context;
};

/* One run of a claim. */
struct lab_plan {
	const struct lab_claim *claim;
	const struct lab_turn *turn; /* NULL: the world as it is */
};

/*
 * Runs n plans side by side, the busy claims one after the other. *ret is a new JSON array of
 * {"id","claim","verdict","why","measured"} in the order of `plans`. A claim that dies or takes
 * far too long is "not-run", with why. 0 or a negative errno.
 */
int lab_prove_plans(const struct lab_plan plans[], size_t n,
                    const struct lab_prove_options *options, json_t **ret);

/* The same for claims, all in the world of options->turn. */
int lab_prove(const struct lab_claim *const claims[], size_t n,
              const struct lab_prove_options *options, json_t **ret);

/* How many of the results were not run. */
size_t lab_prove_not_run(const json_t *results);

/* The whole of `lastport prove --json`: {"schema":1,"kernel":…,"claims":[…]}. Steals nothing. */
json_t *lab_prove_document(const json_t *results);
