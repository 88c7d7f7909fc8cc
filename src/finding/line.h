/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a line as people paste it: what happened, to whom, said by which program. Text only. */

#include <sys/types.h>

#include "base/address.h"
#include "finding/symptom.h"

enum { LP_LINE_LONGEST = 16384 }; /* bytes that are looked at */

struct lp_line {
	const struct lp_symptom *symptom; /* NULL: nothing was recognised */
	const char *error;                /* "EADDRNOTAVAIL", or NULL */
	enum lp_call call;
	const struct lp_program_words *program; /* or NULL */
	struct lp_address address;              /* of the destination; family 0: there is none */
	uint16_t port;                          /* of it; 0: not told */
	pid_t pid;                              /* of who wrote it; 0: not told */
};

void lp_line_read(const char *text, struct lp_line *ret);
