/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/cost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab/stand.h"

enum { CHUNK = 40 /* whose median is compared to find the cliff */ };

static double cpu_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int connect_cost(const struct lab_how *how, const struct lab_addr *to, int listener,
                        enum lab_end end, double *us)
{
	double start = cpu_us();
	int client = lab_connect(how, to);
	*us = cpu_us() - start;
	if (client < 0)
		return client;
	struct lab_pair pair = {client, lab_accept(listener, LAB_TIMEOUT_MS)};
	if (pair.server < 0) {
		lp_close_fd(&pair.client);
		return pair.server;
	}
	return lab_pair_close(&pair, end);
}

struct lab_count lab_connect_costs(const struct lab_how *how, const struct lab_addr *to,
                                   int listener, enum lab_end end, unsigned n, double us[])
{
	struct lab_count count = {0};
	_cleanup_(lab_leave) int home = lab_enter(how->ns);
	if (home < 0)
		return (struct lab_count){.error = -home};
	struct lab_how inside = *how;
	inside.ns = NULL;
	while (count.n < n && !count.error) {
		int r = connect_cost(&inside, to, listener, end, &us[count.n]);
		if (r < 0)
			count.error = -r;
		else
			count.n++;
	}
	return count;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double lab_median(double values[], unsigned n)
{
	qsort(values, n, sizeof(*values), by_value);
	return values[n / 2];
}

/* Where chunks begin to cost LAB_CLIFF times the early ones, in percent. Sorts within chunks. */
static double find_cliff(double us[], const struct lab_sweep *sweep)
{
	for (unsigned at = sweep->ports / 10; at + CHUNK <= sweep->opened; at += CHUNK)
		if (lab_median(us + at, CHUNK) >= LAB_CLIFF * sweep->early_us)
			return 100.0 * at / sweep->ports;
	return 100;
}

static double median_between(const double us[], const struct lab_sweep *sweep, unsigned from,
                             unsigned to, double scratch[])
{
	unsigned begin = sweep->ports * from / 100, n = sweep->ports * to / 100 - begin;
	memcpy(scratch, us + begin, n * sizeof(*us));
	return lab_median(scratch, n);
}

int lab_sweep(struct lab_trial *trial, unsigned ports, uint32_t option, struct lab_sweep *ret)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	_cleanup_(lp_free_ptr) double *us = calloc(2 * (size_t)ports + 1, sizeof(*us));
	if (!us)
		return -ENOMEM;
	int r = lab_stand_make(trial, LAB_STAND_ADDRESS, ports, &stand);
	if (r < 0)
		return r;
	struct lab_how how = {.ns = &stand.ns, .ports = option};
	struct lab_count done =
	        lab_connect_costs(&how, &stand.to, stand.listener, LAB_CLIENT_FIRST, ports + 1, us);
	struct lab_sweep sweep = {.ports = ports, .opened = done.n, .refused = done.error};
	if (done.n < ports * 6 / 10)
		return lp_fail(lab_error(trial), done.error ? done.error : EPROTO,
		               "only %u of %u ports could be filled: %s", done.n, ports,
		               strerror(done.error));
	double *scratch = us + ports + 1;
	sweep.early_us = median_between(us, &sweep, 10, 45, scratch);
	sweep.late_us = median_between(us, &sweep, 52, 60, scratch);
	sweep.cliff_percent = find_cliff(us, &sweep);
	*ret = sweep;
	return 0;
}

void lab_sweep_tell(struct lab_trial *trial, const struct lab_sweep *sweep)
{
	lab_counted(trial, "ports", sweep->ports);
	lab_counted(trial, "opened", sweep->opened);
	lab_measured(trial, "connect_before_half_us", sweep->early_us);
	lab_measured(trial, "connect_after_half_us", sweep->late_us);
	lab_measured(trial, "cliff_at_percent", sweep->cliff_percent);
}
