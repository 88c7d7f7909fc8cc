/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads the sockets of several namespaces in one pass over the table that they share. What listens
 * comes from sock_diag, as ever; the connections, and the ports that connect() passes over, from
 * the kernel's own tables. Of very many connections a sample is read first; the pools that may be
 * near their limit are then counted one by one, or, where those are many, all are.
 */

#include "kernel/bpf_pass.h"

struct lp_bpf_options {
	uint32_t hz; /* jiffies a second */
	bool exact;  /* count all, however many there are */
	/* gets the sockets of pools that are counted; NULL: not asked for */
	const struct lp_sightings *sightings;
	uint32_t aim; /* connections of a sample; 0: as many as it takes. For tests */
};

/*
 * Reads the connections of n namespaces of the same table into their readings. What can't be read
 * is a gap. 0 or -ENOMEM.
 */
int lp_bpf_sockets_read(struct lp_bpf_reader *reader, const struct lp_bpf_options *options,
                        struct lp_bpf_stop *stops, size_t n);
