/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Opening and ending connections at a steady rate. Every one has its own moment, counted from the
 * start, so that a late one delays none of those after it.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lab/socket.h"

struct lab_pace {
	int64_t start_ns; /* CLOCK_MONOTONIC */
	double per_s;
	uint64_t n; /* moments that were waited for */
};

/* Begins now. per_s is above 0. */
struct lab_pace lab_pace(double per_s);
/* Sleeps until the next moment; the first one is the start. Returns by how many ns it was late. */
int64_t lab_pace_wait(struct lab_pace *pace);

struct lab_steady {
	/* what to do; set before the start and left alone */
	struct lab_how how;
	struct lab_addr to;
	int listener; /* of `to`: nobody else may connect to it */
	enum lab_end end;
	double per_s;
	unsigned most;    /* connections at most */
	double seconds;   /* at most so long */
	unsigned tell_at; /* after so many, tell_fd becomes readable; 0: never */

	/* what happened; valid after lab_steady_wait() */
	struct lab_count count;       /* count.error: what refused, 0 when it was never refused */
	int64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; ended: refused or done */
	int64_t late_ns;              /* the latest moment */

	int tell_fd; /* an eventfd */
	pthread_t thread;
	bool running;
	atomic_bool stop;
};

/* Starts it as a thread. The struct stays where it is until lab_steady_wait(). 0 or -errno. */
int lab_steady_start(struct lab_steady *steady);
/* Waits until tell_at connections are done or it ended. 0, or -ETIMEDOUT after `seconds`. */
int lab_steady_told(const struct lab_steady *steady);
/* Ends it now. */
void lab_steady_stop(struct lab_steady *steady);
/* Waits for the end. */
void lab_steady_wait(struct lab_steady *steady);
