/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Brings a limit about, so that alerts and dashboards can be tried: in a namespace of a process of
 * its own, which dies with this one and takes everything with it. For the kinds that are of the
 * whole machine there is no such place, so they are left out.
 */

#include <stdint.h>
#include <stdio.h>

#include "lab/process.h"

/* What a provoker knows when it runs, in its own process and namespace. */
struct lab_provoking;

struct lab_provoker {
	const char *kind;        /* as in lastport's own answers; NULL ends the table */
	const char *description; /* what will be used up, one phrase */
	/* Uses it up. 0, or a negative errno with a sentence in err. */
	int (*bring)(struct lab_provoking *provoking, struct lp_error *err);
	/* Called every LAB_PROVOKE_EVERY_MS from then on: keeps it so. NULL: it keeps by itself. */
	void (*keep)(struct lab_provoking *provoking);
};
enum { LAB_PROVOKE_EVERY_MS = 100 };

extern const struct lab_provoker lab_provokers[];
const struct lab_provoker *lab_provoker_find(const char *kind);
/* Why a kind of lastport's has no provoker, one sentence; NULL for others. */
const char *lab_provoke_left_out(const char *kind);

struct lab_provoked {
	const struct lab_provoker *provoker;
	struct lab_child child; /* holds the limit until it ends */
	uint64_t netns;         /* inode of the namespace to look at */
};

/*
 * Returns when the limit is used up and stays so until lab_provoke_stop(): so a test can ask
 * meanwhile. -ENOTSUP: no such kind, or left out, with the reason in err. Other negative errno with
 * a sentence in err.
 */
int lab_provoke_start(const char *kind, struct lab_provoked *ret, struct lp_error *err);
/* Ends it, and everything it made. For _cleanup_ too; safe on all zero. */
void lab_provoke_stop(struct lab_provoked *provoked);

/*
 * The whole of `lastport prove --provoke KIND --for S`: brings it about, says on `say` where to
 * look, and ends it after `seconds` or at SIGINT or SIGTERM. 0 also when a signal ended it; else as
 * above, -EIO where the process that held it died, and where it can't be said the error of `say`.
 */
int lab_provoke(const char *kind, double seconds, FILE *say, struct lp_error *err);
