/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs the built command, named by the environment's LASTPORT, and reads its JSON. */

#include <jansson.h>

#include "check.h"

struct answer {
	int status;   /* exit status, or 128 + signal */
	json_t *root; /* NULL where standard output was no JSON */
	char *errors; /* standard error */
};

/* Runs it with these arguments, up to NULL. In the calling thread's namespaces. */
struct answer ask_raw(const char *argument, ...) __attribute__((sentinel));
void answer_done(struct answer *answer);

/*
 * `status --json --all --netns INODE`, run from inside that namespace: there it is found whatever
 * else the machine is busy with. Must succeed and be schema 1, and be read by the reader of
 * ask_reader().
 */
struct answer ask_ns(const struct lab_ns *ns);
struct answer ask_ns_by(const struct lab_ns *ns, const char *reader);

/* The environment's LASTPORT_READER: "diag", which it is by default, or "bpf". */
const char *ask_reader(void);
/* Whether that one tells what sock_diag can't show. */
bool ask_reader_sees_more(void);

/* The same for every namespace and process. */
struct answer ask_all(void);

/*
 * The one limit of a kind in a namespace (inode 0: any or none) whose scope has what `scope` has;
 * scope is taken over. NULL where there is none; two of them fail the test.
 */
json_t *limit_find(const struct answer *answer, const char *kind, uint64_t inode, json_t *scope);
/* The same, and not finding it fails the test. */
json_t *limit_must(const struct answer *answer, const char *kind, uint64_t inode, json_t *scope);

/* An integer of a limit: "headroom". Must be there. */
unsigned limit_figure(const json_t *limit, const char *name);
/* Whether one of the limit's assumptions holds this word. */
bool limit_assumes(const json_t *limit, const char *word);
/* Whether `incomplete` has an entry of this kind. */
bool answer_misses(const struct answer *answer, const char *what);
