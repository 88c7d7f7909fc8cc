/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A claim is one sentence that people believe, with an experiment that settles it on the running
 * kernel. One file a claim, in claims/. The verdict is computed from what was measured, so a claim
 * has no answer of its own: each names ways to turn its world round (a sysctl, a slower clock) in
 * which the verdict must come out differently, and a test runs those too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "lab/ns.h"

enum lab_verdict {
	LAB_NOT_RUN = 0,
	LAB_CONFIRMED,
	LAB_REFUTED,
	LAB_DEPENDS,
};
const char *lab_verdict_name(enum lab_verdict verdict);

/* A world turned round, and the verdict that it must give. */
struct lab_turn {
	const char *what; /* one phrase; NULL ends the list */
	enum lab_verdict expect;
	/* written into each namespace that the trial makes, below /proc/sys/net; NULL ends */
	struct {
		const char *path, *value;
	} sysctls[4];
	double clock;     /* how many seconds one second is taken for; 0 is 1 */
	const char *flag; /* what else is different: the claim asks with lab_turned() */
};

/* What a claim cannot do without; bits of lab_claim.needs. */
enum {
	LAB_NEEDS_CONNTRACK = 1 << 0, /* /proc/sys/net/netfilter, ctnetlink */
	LAB_NEEDS_NFTABLES = 1 << 1,
	LAB_NEEDS_KMSG = 1 << 2, /* may read /dev/kmsg: root of the machine */
};

struct lab_trial;

struct lab_claim {
	const char *id;         /* fixed */
	const char *claim;      /* what people say, one sentence without a full stop */
	const char *source;     /* who says so: the RFC with its section, or where it is told */
	const char *experiment; /* what is done, one or two sentences */
	const char *confirms;   /* what would confirm it, one phrase */
	const char *refutes;    /* what would refute it, one phrase */
	unsigned seconds;       /* about how long it takes */
	unsigned needs;
	bool busy; /* measures short times: runs while no other busy one does */
	/*
	 * Measures and gives the verdict, as its last act, through one of the functions below.
	 * 0, or a negative errno with a sentence in lab_error(): then the claim was not run. Runs
	 * in a process of its own, which it may move, limit and exhaust as it likes.
	 */
	int (*run)(struct lab_trial *trial);
	const struct lab_turn *turns; /* ends with what == NULL; NULL: the kernel can't be turned */
};

/* All of them, in the order of the table in the documentation; NULL ends. */
extern const struct lab_claim *const lab_claims[];
const struct lab_claim *lab_claim_find(const char *id);

/* ---- for the claims ---------------------------------------------------------------------------
 */

/* A new namespace, with lo up, in which the turn's sysctls are written. */
int lab_trial_ns(struct lab_trial *trial, struct lab_ns *ret);
/* Whether this world is turned by that flag. */
bool lab_turned(const struct lab_trial *trial, const char *flag);
/* Seconds since a moment of lp_clock_ns(), by the clock of this world. */
double lab_seconds_since(const struct lab_trial *trial, int64_t start_ns);
/* Where a failing helper puts its sentence. */
struct lp_error *lab_error(struct lab_trial *trial);

/*
 * Measured figures, in the order in which they are told. Names are like_this with the unit at the
 * end ("waited_s", "connect_us"). Those told after lab_case() belong to that case, until the next
 * one; lab_case(trial, NULL) ends them.
 */
void lab_measured(struct lab_trial *trial, const char *name, double value);
void lab_counted(struct lab_trial *trial, const char *name, int64_t value);
void lab_saw(struct lab_trial *trial, const char *name, bool value);
void lab_told(struct lab_trial *trial, const char *name, const char *value);
void lab_case(struct lab_trial *trial, const char *name);

/* The verdict and, as printf(), the one sentence that says why, with figures. Return 0. */
int lab_verdict(struct lab_trial *trial, enum lab_verdict verdict, const char *why, ...)
        __attribute__((format(printf, 3, 4)));
/* LAB_CONFIRMED if it holds, else LAB_REFUTED. */
int lab_verdict_if(struct lab_trial *trial, bool holds, const char *why, ...)
        __attribute__((format(printf, 3, 4)));
/* It could not be run here: the reason. Returns 0. */
int lab_not_run(struct lab_trial *trial, const char *why, ...)
        __attribute__((format(printf, 2, 3)));
