/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One run of a claim, inside its own process: what the runner sees of it. */

#include <jansson.h>

#include "lab/claim.h"

struct lab_trial {
	const struct lab_claim *claim;
	const struct lab_turn *turn; /* or NULL */
	struct lp_error err;
	enum lab_verdict verdict;
	char why[512];
	json_t *measured; /* an object, in order */
	json_t *cases;    /* inside measured, or NULL */
	json_t *current;  /* where figures go */
};

int lab_trial_begin(struct lab_trial *trial, const struct lab_claim *claim,
                    const struct lab_turn *turn);
void lab_trial_end(struct lab_trial *trial);

/* {"id","claim","verdict","why","measured"}: a new reference, NULL when memory is short. */
json_t *lab_trial_json(const struct lab_trial *trial);
