/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What people see when a limit is reached: an errno, a line of a program or of the kernel. Data
 * only, in one place: to add a line that should be recognised, add a row to symptom.c.
 */

#include <stdbool.h>
#include <stddef.h>

/* What the program was about to do. */
enum lp_call {
	LP_CALL_ANY, /* it does not say */
	LP_CALL_CONNECT,
	LP_CALL_BIND,
	LP_CALL_ACCEPT,
	LP_CALL_SEND,
};
/* "connect()" …; "" for LP_CALL_ANY. */
const char *lp_call_name(enum lp_call call);

/* An error as programs write it. */
struct lp_error_name {
	const char *name;        /* "EADDRNOTAVAIL" */
	int number;              /* 99: of Linux, on nearly all machines */
	const char *messages[4]; /* of glibc first, then of musl and others; NULL after the last */
};
/* Ends with an entry without a name. */
extern const struct lp_error_name lp_error_names[];

enum { LP_SYMPTOM_CAUSES = 6, LP_SYMPTOM_OTHERS = 4 };

struct lp_symptom {
	const char *id;    /* "connect-no-port": fixed, as in JSON */
	const char *error; /* "EADDRNOTAVAIL"; NULL: not told by an errno */
	enum lp_call call; /* LP_CALL_ANY: whatever the call was */
	const char *means; /* one sentence */
	/* the limits that can cause it, likeliest first; `kind` NULL after the last */
	struct {
		const char *kind; /* as limits are called in JSON */
		const char *how;  /* half a sentence: why that limit ends in this */
	} causes[LP_SYMPTOM_CAUSES];
	const char *otherwise[LP_SYMPTOM_OTHERS]; /* what else it may be; NULL after the last */
	const char *documented;                   /* where it can be read */
};
/* Ends with an entry without an id. */
extern const struct lp_symptom lp_symptoms[];
/* NULL where none is called so. */
const struct lp_symptom *lp_symptom_find(const char *id);
/* Of an error and a call; NULL where none is known. */
const struct lp_symptom *lp_symptom_of(const char *error, enum lp_call call);

/* Words that say which symptom it is, whatever else stands in the line. In any case of letters. */
struct lp_phrase {
	const char *words;
	const char *symptom; /* its id */
};
/* Ends with an entry without words. The first that is in the line counts. */
extern const struct lp_phrase lp_phrases[];

/* Words by which a program is recognised, and words that tell the call. */
struct lp_program_words {
	const char *words;
	const char *program;
	const char *documented; /* the source of that form of line */
};
extern const struct lp_program_words lp_program_words[];

struct lp_call_words {
	const char *words;
	enum lp_call call;
};
extern const struct lp_call_words lp_call_words[];
