/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wishes for `lastport plan`, and a world in which they come true: what the plan says there, and
 * what happens.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "ask.h"

enum {
	RUN_TOLERANCE_PERCENT = 3,
	RUN_SOURCES = 4,
	RUN_DESTINATIONS = 3,
};

/* Wishes and settings, and at which part of the highest rate they are tried. */
struct course {
	const char *name;
	double per_s; /* tried at that rate, and not at a part of the highest */
	unsigned ports, reuse_delay_ms, buckets; /* 0: as the kernel has it */
	unsigned sources, destinations;
	unsigned hold_ms, closing_s; /* nf_conntrack_tcp_timeout_time_wait; 0: no router */
	enum lab_end end;            /* who closes first; the plan's word for it goes by that */
	bool bind_first;
	bool server; /* the plan is of the server, and the clients are the sources */
};

struct run {
	const struct course *course;
	double factor;
	/* what the plan says */
	double highest, rate, time_wait, entries, full_in_s;
	char first[32];
	/* where it happens */
	struct lab_ns ns;
	struct lab_router router;
	struct lab_addr from[RUN_SOURCES], to[RUN_DESTINATIONS];
	int listeners[RUN_DESTINATIONS];
	/* what happens */
	pthread_t thread;
	double refused_s; /* after the start */
	double late_s;    /* the latest opening */
	int error;        /* that connect() or bind() gave; 0: it never failed */
	int most_time_wait;
	int64_t most_entries;
	/* of the sweeps of conntrack: entries before and after the last one, and the time between
	 */
	int64_t entries_now, before_sweep, after_sweep;
	double swept_s, sweep_s;
	unsigned sweeps;
	atomic_bool stop;
};

/* Makes the world and asks for the plan, at that part of its highest rate. */
void run_make(struct run *run, const struct course *course, double factor);
void run_done(struct run *run);

void run_start(struct run *run);
/* Looks at what stands now, a few times a second. */
void run_sample(struct run *run);
/* Looks for a sweep of conntrack's entries, some 50 times a second; now_s: since the start. */
void run_watch_sweeps(struct run *run, double now_s);
/* Tells it to stop, without waiting. */
void run_stop(struct run *run);
void run_join(struct run *run);

/* Fails the test where one was refused; where none was, or for another reason. */
void run_must_carry(const struct run *run);
void run_must_refuse(const struct run *run, int error);
/* Fails the test unless what was said is what was, to RUN_TOLERANCE_PERCENT. */
void assert_near(const char *what, double said, double was);
