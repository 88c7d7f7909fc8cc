/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What connect() costs: CPU time of the thread, which over lo does the whole handshake itself. So a
 * loaded machine, where it waits for a CPU, disturbs little.
 */

#include "lab/claim.h"
#include "lab/socket.h"

/*
 * Opens and ends up to n connections one after the other; us[i] is what opening the i-th cost, in
 * microseconds of CPU time, socket() and its options included. As lab_open_and_end() otherwise.
 */
struct lab_count lab_connect_costs(const struct lab_how *how, const struct lab_addr *to,
                                   int listener, enum lab_end end, unsigned n, double us[]);

/* The middle one of n, which is above 0. Sorts them. */
double lab_median(double values[], unsigned n);

/* connect() to one destination until every port of a range is in TIME_WAIT. */
struct lab_sweep {
	unsigned ports, opened; /* of the range; before connect() was refused */
	int refused;            /* what refused it: a positive errno */
	double early_us;        /* median from 10 to 45 % of the range */
	double late_us;         /* median from 52 to 60 % */
	double cliff_percent;   /* where it began to cost four times as much; 100: nowhere */
};

/* A cliff: this many times what it cost before. */
enum { LAB_CLIFF = 4 };

/*
 * In a namespace of its own with a range of `ports`. option: what each socket is given for
 * IP_LOCAL_PORT_RANGE, 0 for nothing. 0, or a negative errno with lab_error() set; -ENOPROTOOPT
 * where the kernel has no such option.
 */
int lab_sweep(struct lab_trial *trial, unsigned ports, uint32_t option, struct lab_sweep *ret);

/* Tells its figures. */
void lab_sweep_tell(struct lab_trial *trial, const struct lab_sweep *sweep);
