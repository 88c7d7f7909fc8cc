/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What prove tells: for people, as a table for the documentation, and against an earlier run. */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

struct lab_report_options {
	unsigned width; /* columns */
	bool colour;
};

/* The results of lab_prove(), for people. Returns 0, or a negative errno of writing. */
int lab_report_text(const json_t *results, const struct lab_report_options *options, FILE *out);

/* Every claim there is: id, sentence, source. */
int lab_report_list(const struct lab_report_options *options, FILE *out);
json_t *lab_report_list_json(void);

/* The table of docs/claims.md, with how each was settled. */
int lab_report_markdown(const json_t *document, FILE *out);

/*
 * Reads a saved `lastport prove --json`. *ret is a new reference. -EINVAL with the place of the
 * mistake in err, or a negative errno of reading.
 */
int lab_report_load(const char *path, json_t **ret, struct lp_error *err);

/*
 * Names every claim whose verdict differs from the saved run. Returns how many did, or a negative
 * errno. Claims that only one of the two has are named, and are no difference.
 */
int lab_report_compare(const json_t *saved, const json_t *now, FILE *out);
