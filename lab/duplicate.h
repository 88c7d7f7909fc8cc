/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The story that TIME_WAIT is there to prevent: a connection ends, another one is opened on the
 * same addresses and ports, and then a copy of a segment of the first arrives.
 */

#include "lab/claim.h"

struct lab_duplicate {
	/* the story */
	bool without; /* TIME_WAIT is taken away: tcp_max_tw_buckets 0 */
	bool stamped; /* with timestamps */
	bool idle;    /* the copy finds nothing waiting to be read */

	/* what became of it; valid after lab_duplicate_play() */
	bool time_wait;  /* held the tuple after the first connection */
	int refused;     /* why there was no second connection; 0: there was one */
	bool answered;   /* the copy, by an ACK */
	bool entered;    /* the second connection's stream */
	bool displaced;  /* what really belonged there */
	char stream[16]; /* what the program read, when it entered */
};

/* Plays it in the trial's world. 0, or a negative errno with the sentence in lab_error(). */
int lab_duplicate_play(struct lab_trial *trial, struct lab_duplicate *story);
