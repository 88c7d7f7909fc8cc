/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_pass.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"

enum {
	PARTS = 8,       /* of a walk, at least, so that threads end together */
	WORTH_TWO = 512, /* from so many strata on another thread is worth its while */
};

struct worker {
	struct lp_bpf_pass *pass;
	uint32_t number;
	struct lp_bpf_seat *seats; /* LP_SAMPLE_SLOTS */
};

static uint32_t processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

static int compare_net(const void *a, const void *b)
{
	const struct lp_bpf_stop *const *x = a, *const *y = b;
	return ((*x)->place.net > (*y)->place.net) - ((*x)->place.net < (*y)->place.net);
}

int lp_bpf_pass_begin(struct lp_bpf_pass *pass, struct lp_bpf_reader *reader, uint32_t hz,
                      struct lp_bpf_stop *stops, size_t n)
{
	enum { POINTER = sizeof(void *) };
	*pass = (struct lp_bpf_pass){
	        .reader = reader,
	        .n = n,
	        .ms_scale = (UINT64_C(1000) << 32) / hz + 1,
	        .lock = PTHREAD_MUTEX_INITIALIZER,
	        .stops = calloc(n, POINTER),
	        .seats = calloc((size_t)LP_SAMPLE_SLOTS * LP_SAMPLE_WORKERS,
	                        sizeof(struct lp_bpf_seat)),
	};
	if (!pass->stops || !pass->seats)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		pass->stops[i] = &stops[i];
	qsort(pass->stops, n, sizeof(struct lp_bpf_stop *), compare_net);
	return 0;
}

void lp_bpf_pass_done(struct lp_bpf_pass *pass)
{
	free(pass->stops);
	free(pass->seats);
}

struct lp_bpf_stop *lp_bpf_pass_stop(const struct lp_bpf_pass *pass, uint64_t net)
{
	size_t low = 0, high = pass->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (pass->stops[middle]->place.net < net)
			low = middle + 1;
		else
			high = middle;
	}
	return low < pass->n && pass->stops[low]->place.net == net ? pass->stops[low] : NULL;
}

/* ---- one socket ---------------------------------------------------------------------------- */

static void sit_down(const struct lp_bpf_pass *pass, struct lp_bpf_seat *seat,
                     const struct lp_sample_tuple *tuple)
{
	int family = tuple->family;
	*seat = (struct lp_bpf_seat){.by_local = tuple->flags & LP_SAMPLE_BY_LOCAL,
	                             .base = tuple->base};
	if (family != AF_INET && family != AF_INET6)
		return;
	seat->stop = lp_bpf_pass_stop(pass, tuple->net);
	if (!seat->stop)
		return;
	seat->socket = (struct lp_socket){
	        .local = lp_address_make(family, tuple->local, tuple->ifindex),
	        .remote = lp_address_make(family, tuple->remote, tuple->ifindex),
	        .age_told = seat->stop->place.has_age,
	};
}

static uint32_t left_ms(const struct lp_bpf_pass *pass, const struct lp_sample_record *record)
{
	uint32_t ms = (uint32_t)(record->left * pass->ms_scale >> 32);
	return ms < LP_TIME_WAIT_S * 1000 ? ms : LP_TIME_WAIT_S * 1000;
}

/* What a connection can be; anything else was no socket of ours. */
static bool makes_sense(const struct lp_sample_record *record)
{
	return record->state > 0 && record->state < LP_STATES && record->state != LP_LISTEN &&
	       record->local_port;
}

static void take_socket(struct lp_bpf_pass *pass, struct lp_bpf_seat *seat,
                        const struct lp_sample_record *record, const struct lp_sample_id *id)
{
	struct lp_socket *socket = &seat->socket;
	if (pass->ids) {
		socket->cookie = id->cookie;
		socket->inode = (uint32_t)id->inode;
	}
	socket->local_port = record->local_port;
	socket->remote_port = record->remote_port;
	socket->state = record->state;
	socket->v6only = record->flags & LP_SAMPLE_V6ONLY ? LP_YES : LP_NO;
	socket->timestamps = record->flags & LP_SAMPLE_TIMESTAMPS ? LP_YES : LP_NO;
	socket->left_ms = left_ms(pass, record);
	socket->age_ms = record->age_ms;
	/* another namespace listens there: the tuple's connections have any remote port */
	bool mixed = seat->by_local &&
	             !lp_sockets_listens(seat->stop->reading.sockets, record->local_port);
	seat->at = mixed ? NULL : &seat->where;
	pass->take(pass, seat);
}

static void take_sockets(struct worker *worker, const struct lp_sample_walk *walk)
{
	struct lp_bpf_pass *pass = worker->pass;
	const struct lp_sample_out *out = lp_bpf_reader_out(pass->reader, worker->number);
	uint32_t tuples = 0;
	for (uint32_t i = 0; i < walk->records; i++) {
		const struct lp_sample_record *record = &out->records[i];
		struct lp_bpf_seat *seat = &worker->seats[record->slot % LP_SAMPLE_SLOTS];
		if (record->flags & LP_SAMPLE_NEW && tuples < walk->tuples)
			sit_down(pass, seat, &out->tuples[tuples++]);
		if (seat->stop && !seat->stop->reading.settled && makes_sense(record))
			take_socket(pass, seat, record, &out->ids[i]);
	}
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* Takes a part of the walk that nobody has begun. False: there is none left. */
static bool next_part(struct lp_bpf_pass *pass, struct lp_sample_walk *part)
{
	*part = pass->walk;
	(void)pthread_mutex_lock(&pass->lock);
	uint32_t left = pass->error ? 0 : pass->strata - pass->next;
	part->from = pass->walk.from + pass->next;
	uint32_t most = (pass->strata + PARTS - 1) / PARTS;
	if (most > LP_SAMPLE_BLOCKS)
		most = LP_SAMPLE_BLOCKS;
	part->strata = left < most ? left : most;
	pass->next += part->strata;
	(void)pthread_mutex_unlock(&pass->lock);
	return left > 0;
}

static void take_part(struct worker *worker, const struct lp_sample_walk *part, int error)
{
	struct lp_bpf_pass *pass = worker->pass;
	(void)pthread_mutex_lock(&pass->lock);
	if (error < 0) {
		pass->error = error;
	} else {
		pass->records += part->records;
		pass->torn += part->torn;
		pass->scattered += part->scattered;
		if (pass->take)
			take_sockets(worker, part);
	}
	(void)pthread_mutex_unlock(&pass->lock);
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct lp_sample_walk part;
	while (next_part(worker->pass, &part)) {
		part.worker = worker->number;
		uint32_t left = part.strata;
		for (int r = 0; left && r == 0; left -= part.strata) {
			part.strata = left;
			r = lp_bpf_reader_walk(worker->pass->reader, &part);
			take_part(worker, &part, r);
			part.from += part.strata;
		}
	}
	return NULL;
}

/* Runs pass->walk, by two threads where there are two processors for them. */
static int run(struct lp_bpf_pass *pass, uint32_t strata)
{
	struct worker workers[LP_SAMPLE_WORKERS];
	pthread_t threads[LP_SAMPLE_WORKERS];
	uint32_t n = 1;
	/* new keys: what the programs remember of an earlier walk tells them nothing */
	if (getrandom(&pass->walk.seed, sizeof(pass->walk.seed), 0) < 0)
		return lp_errno();
	pass->strata = strata;
	pass->next = 0;
	pass->error = 0;
	pass->records = pass->torn = pass->scattered = 0;
	for (uint32_t i = 0; i < LP_SAMPLE_WORKERS; i++)
		workers[i] = (struct worker){pass, i, pass->seats + (size_t)i * LP_SAMPLE_SLOTS};
	while (n < LP_SAMPLE_WORKERS && n < processors() && strata >= WORTH_TWO &&
	       pthread_create(&threads[n], NULL, work, &workers[n]) == 0)
		n++;
	work(&workers[0]);
	while (n-- > 1)
		(void)pthread_join(threads[n], NULL);
	return pass->error;
}

int lp_bpf_pass_walk(struct lp_bpf_pass *pass, uint32_t from, uint32_t strata, uint32_t share)
{
	const struct lp_sample_place *place = &pass->stops[0]->place;
	pass->walk = (struct lp_sample_walk){.ehash = place->ehash,
	                                     .mask = place->n_ehash - 1,
	                                     .from = from,
	                                     .stride = share,
	                                     .ids = pass->ids};
	return run(pass, strata);
}

int lp_bpf_pass_walk_pool(struct lp_bpf_pass *pass, uint32_t base, uint32_t low, uint32_t high)
{
	const struct lp_sample_place *place = &pass->stops[0]->place;
	uint32_t mask = place->n_ehash - 1, first = (base + low) & mask;
	uint32_t blocks = (first % LP_SAMPLE_BLOCK + high - low) / LP_SAMPLE_BLOCK + 1;
	uint32_t all = place->n_ehash / LP_SAMPLE_BLOCK;
	pass->walk = (struct lp_sample_walk){.ehash = place->ehash,
	                                     .mask = mask,
	                                     .from = first / LP_SAMPLE_BLOCK,
	                                     .stride = 1,
	                                     .pool = base,
	                                     .ids = pass->ids,
	                                     .is_pool = 1};
	return run(pass, blocks < all ? blocks : all);
}
