/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One pass over a table of connections, for several namespaces at once: runs the programs, by two
 * threads where that is quicker, and hands each socket to who counts it.
 */

#include <pthread.h>

#include "kernel/bpf_reader.h"
#include "kernel/reading.h"

/* A namespace to read. */
struct lp_bpf_stop {
	struct lp_sample_place place;
	struct lp_reading reading; /* begun */
	uint32_t *bases;           /* of a sample: where in the table each pool lies */
	bool unentered;            /* known to the programs alone */
	bool listens;              /* … and something may listen there */
};

struct lp_bpf_seat;

struct lp_bpf_pass {
	struct lp_bpf_reader *reader;
	struct lp_bpf_stop **stops; /* sorted by place.net */
	size_t n;
	uint64_t ms_scale; /* milliseconds of a jiffy, times 2^32 */
	struct lp_bpf_seat *seats;
	uint32_t ids; /* whether sockets are told apart: LP_SAMPLE_NO_IDS … */

	/*
	 * What to do with a socket; seat->stop is not settled. Called by one thread at a time.
	 * NULL: they are counted only.
	 */
	void (*take)(struct lp_bpf_pass *pass, struct lp_bpf_seat *seat);
	void *context;

	/* of the walk under way or done */
	pthread_mutex_t lock;       /* all that follows, and what is read into */
	struct lp_sample_walk walk; /* what is asked */
	uint32_t strata, next;
	int error;
	uint64_t records, torn, scattered;
};

/*
 * What a tuple's sockets have in common, as the programs told it; and the socket in hand. `at` is
 * where to count it, but NULL for a tuple of which that can't be told.
 */
struct lp_bpf_seat {
	struct lp_bpf_stop *stop; /* NULL: of a namespace that is not read, or no tuple of ours */
	struct lp_socket socket;
	struct lp_seat where, *at;
	uint32_t base;
	bool by_local;
};

/* `stops` outlives it; `hz` is jiffies a second. 0 or -ENOMEM. Ended by done() in any case. */
int lp_bpf_pass_begin(struct lp_bpf_pass *pass, struct lp_bpf_reader *reader, uint32_t hz,
                      struct lp_bpf_stop *stops, size_t n);
void lp_bpf_pass_done(struct lp_bpf_pass *pass);

/* NULL: it is none of the pass's namespaces. */
struct lp_bpf_stop *lp_bpf_pass_stop(const struct lp_bpf_pass *pass, uint64_t net);

/* Walks so many strata of so many blocks, from the first one on. 0 or a negative errno. */
int lp_bpf_pass_walk(struct lp_bpf_pass *pass, uint32_t from, uint32_t strata, uint32_t share);

/* The same of one pool: every block from its first one on. */
int lp_bpf_pass_walk_pool(struct lp_bpf_pass *pass, uint32_t base, uint32_t low, uint32_t high);
