/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Findings of an answer of the command. */

#include "ask.h"

/* The finding of that id about the namespace, also one that another explains; NULL: none. */
const json_t *finding_of(const struct answer *answer, const char *id, uint64_t netns);
/* The same, or the one that explains it, which has the remedies of both. */
const json_t *finding_with_remedies(const struct answer *answer, const char *id, uint64_t netns);
/* The one whose summary names the process, or NULL. */
const json_t *finding_of_process(const struct answer *answer, const char *id, pid_t pid);
/* A text of it: "summary". Must be there. */
const char *finding_text(const json_t *finding, const char *name);
/* How many findings are about the namespace; each is told by note(). */
unsigned finding_count(const struct answer *answer, uint64_t netns);
/* What a remedy whose title has that word makes of a figure. Must be there. */
double finding_predicts(const json_t *finding, const char *remedy, const char *figure);
/* The first step of that remedy which has the word; NULL: none. */
const char *finding_step(const json_t *finding, const char *remedy, const char *word);
