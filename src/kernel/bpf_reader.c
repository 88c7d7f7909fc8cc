/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_reader.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/bpf_call.h"

/* What CONFIG_HZ can be on the machines that have BTF. */
static const uint32_t rates[] = {100, 200, 250, 300, 500, 1000};
enum { N_RATES = sizeof(rates) / sizeof(rates[0]) };

/* The rate of the least error, if it is below `small` and (`alone`) no other's is. 0: none. */
static uint32_t best_rate(const double errors[N_RATES], double small, bool alone)
{
	size_t best = 0, fit = 0;
	for (size_t i = 0; i < N_RATES; i++) {
		fit += errors[i] < small;
		if (errors[i] < errors[best])
			best = i;
	}
	return fit == 1 || (fit > 1 && !alone) ? rates[best] : 0;
}

uint32_t lp_hz_since_boot(uint64_t jiffies, uint64_t now_ns)
{
	/* INITIAL_JIFFIES, include/linux/jiffies.h: 300 s before 32 bits of them are full */
	double beyond = (double)(int64_t)(jiffies - (UINT64_C(1) << 32));
	double now = (double)now_ns / 1e9, errors[N_RATES];
	for (size_t i = 0; i < N_RATES; i++)
		errors[i] = fabs(beyond / rates[i] + 300 - now);
	return best_rate(errors, 0.5 + now * 0.002, true);
}

uint32_t lp_hz_between(uint64_t jiffies, uint64_t ns)
{
	double errors[N_RATES];
	for (size_t i = 0; i < N_RATES; i++)
		errors[i] = fabs((double)jiffies / ((double)ns / 1e9 * rates[i]) - 1);
	return best_rate(errors, 0.2, false);
}

uint32_t lp_bpf_reader_hz(struct lp_bpf_reader *reader, const struct lp_sample_place *place)
{
	uint32_t hz = lp_hz_since_boot(place->jiffies, place->now_ns);
	if (hz)
		return hz;
	struct lp_sample_place first, second;
	if (lp_bpf_reader_here(reader, &first) < 0)
		return 0;
	lp_clock_sleep_ms(100);
	if (lp_bpf_reader_here(reader, &second) < 0)
		return 0;
	return lp_hz_between(second.jiffies - first.jiffies, second.now_ns - first.now_ns);
}

#if HAVE_BPF

#include "bpf/sample.skel.h"

struct lp_bpf_reader {
	struct sample *programs;
	struct lp_sample_out *out; /* mapped: LP_SAMPLE_WORKERS */
};

enum { OUT_SIZE = LP_SAMPLE_WORKERS * sizeof(struct lp_sample_out) };
_Static_assert(sizeof(struct lp_sample_out) % 8 == 0, "entries follow each other");

void lp_bpf_reader_close(struct lp_bpf_reader *reader)
{
	if (!reader)
		return;
	if (reader->out)
		(void)munmap(reader->out, OUT_SIZE);
	sample__destroy(reader->programs);
	free(reader);
}

static int load(struct lp_bpf_reader *reader, struct lp_error *why)
{
	reader->programs = sample__open();
	if (!reader->programs)
		return lp_fail(why, ENOMEM, "out of memory");
	int r = sample__load(reader->programs);
	if (r < 0)
		return lp_bpf_refused("reading the kernel's tables", "6.9", r, why);
	void *out = mmap(NULL, OUT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                 reader->programs->maps.sampled.map_fd, 0);
	if (out == MAP_FAILED)
		return lp_fail(why, errno, "what the programs read can't be mapped: %s",
		               strerror(errno));
	reader->out = out;
	return 0;
}

int lp_bpf_reader_open(struct lp_bpf_reader **ret, struct lp_error *why)
{
	_cleanup_(lp_bpf_reader_closep) struct lp_bpf_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return lp_fail(why, ENOMEM, "out of memory");
	int r = load(reader, why);
	if (r < 0)
		return r;
	*ret = lp_take_ptr(reader);
	return 0;
}

/* What is asked stands in the worker's entry of the map. */
static int run(const struct lp_bpf_reader *reader, uint64_t what, uint32_t worker)
{
	uint64_t arguments[] = {worker, what};
	return lp_bpf_run(reader->programs->progs.lp_sample.prog_fd, arguments, sizeof(arguments));
}

static int run_nets(struct lp_bpf_reader *reader, const struct lp_sample_nets *asked)
{
	reader->out[0].asked.nets = *asked;
	return run(reader, LP_SAMPLE_NAMESPACES, 0);
}

int lp_bpf_reader_here(struct lp_bpf_reader *reader, struct lp_sample_place *ret)
{
	int r = run_nets(reader, &(struct lp_sample_nets){.here = 1});
	if (r < 0)
		return r;
	struct lp_sample_place place = reader->out[0].asked.nets.place;
	bool sane = place.net && place.ehash && place.bhash && place.n_bhash &&
	            place.n_ehash >= LP_SAMPLE_BLOCK && (place.n_ehash & (place.n_ehash - 1)) == 0;
	if (!sane)
		return -ENOTSUP;
	*ret = place;
	return 0;
}

void lp_bpf_reader_by_local(struct lp_bpf_reader *reader, const uint64_t ports[1024])
{
	for (size_t i = 0; i < LP_SAMPLE_WORKERS; i++)
		memcpy(reader->out[i].by_local, ports, sizeof(reader->out[i].by_local));
}

int lp_bpf_reader_walk(struct lp_bpf_reader *reader, struct lp_sample_walk *walk)
{
	struct lp_sample_out *out = &reader->out[walk->worker];
	out->asked.walk = *walk;
	int r = run(reader, LP_SAMPLE_WALK, walk->worker);
	if (r < 0)
		return r;
	*walk = out->asked.walk;
	bool sane =
	        walk->strata && walk->records <= LP_SAMPLE_ROOM && walk->tuples <= walk->records;
	return sane ? 0 : -ENOTSUP;
}

const struct lp_sample_out *lp_bpf_reader_out(const struct lp_bpf_reader *reader, uint32_t worker)
{
	return &reader->out[worker];
}

int lp_bpf_reader_ports(struct lp_bpf_reader *reader, const struct lp_sample_place *place,
                        bool addresses, lp_bpf_take_ports take, void *context)
{
	bool torn = false;
	for (uint32_t from = 0; from < place->n_bhash;) {
		reader->out[0].asked.ports = (struct lp_sample_ports){.bhash = place->bhash,
		                                                      .n_bhash = place->n_bhash,
		                                                      .from = from,
		                                                      .addresses = addresses};
		int r = run(reader, LP_SAMPLE_BOUND_PORTS, 0);
		if (r < 0)
			return r;
		struct lp_sample_ports ports = reader->out[0].asked.ports;
		if (ports.next <= from || ports.ports > LP_SAMPLE_ROOM)
			return -ENOTSUP;
		torn |= ports.torn != 0;
		take(context, reader->out[0].ports, ports.ports);
		from = ports.next;
	}
	return torn ? -EAGAIN : 0;
}

int lp_bpf_reader_nets(struct lp_bpf_reader *reader, const struct lp_sample_net **ret,
                       uint32_t *ret_n)
{
	int r = run_nets(reader, &(struct lp_sample_nets){0});
	if (r < 0)
		return r;
	struct lp_sample_nets nets = reader->out[0].asked.nets;
	if (nets.torn || nets.nets > LP_SAMPLE_ROOM)
		return -EAGAIN;
	*ret = reader->out[0].nets;
	*ret_n = nets.nets;
	return 0;
}

int lp_bpf_reader_reserved(struct lp_bpf_reader *reader, uint64_t net, uint64_t ports[1024])
{
	int r = run_nets(reader, &(struct lp_sample_nets){.reserved_of = net});
	if (r == 0)
		memcpy(ports, reader->out[0].reserved, sizeof(reader->out[0].reserved));
	return r;
}

#else

int lp_bpf_reader_open(struct lp_bpf_reader **ret, struct lp_error *why)
{
	*ret = NULL;
	return lp_fail(why, EOPNOTSUPP, "this lastport was built without programs for the kernel");
}

void lp_bpf_reader_close(struct lp_bpf_reader *reader)
{
	(void)reader;
}

int lp_bpf_reader_here(struct lp_bpf_reader *reader, struct lp_sample_place *ret)
{
	(void)reader;
	*ret = (struct lp_sample_place){0};
	return -EOPNOTSUPP;
}

void lp_bpf_reader_by_local(struct lp_bpf_reader *reader, const uint64_t ports[1024])
{
	(void)reader;
	(void)ports;
}

int lp_bpf_reader_walk(struct lp_bpf_reader *reader, struct lp_sample_walk *walk)
{
	(void)reader;
	(void)walk;
	return -EOPNOTSUPP;
}

const struct lp_sample_out *lp_bpf_reader_out(const struct lp_bpf_reader *reader, uint32_t worker)
{
	(void)reader;
	(void)worker;
	return NULL;
}

int lp_bpf_reader_ports(struct lp_bpf_reader *reader, const struct lp_sample_place *place,
                        bool addresses, lp_bpf_take_ports take, void *context)
{
	(void)reader;
	(void)place;
	(void)addresses;
	(void)take;
	(void)context;
	return -EOPNOTSUPP;
}

int lp_bpf_reader_nets(struct lp_bpf_reader *reader, const struct lp_sample_net **ret,
                       uint32_t *ret_n)
{
	(void)reader;
	*ret = NULL;
	*ret_n = 0;
	return -EOPNOTSUPP;
}

int lp_bpf_reader_reserved(struct lp_bpf_reader *reader, uint64_t net, uint64_t ports[1024])
{
	(void)reader;
	(void)net;
	(void)ports;
	return -EOPNOTSUPP;
}

#endif
