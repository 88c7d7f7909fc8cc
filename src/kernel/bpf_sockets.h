/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads the sockets of several namespaces in one pass over the table that they share. What listens
 * or is bound comes from sock_diag, as ever; the connections, and the ports that connect() passes
 * over, from the kernel's own tables.
 */

#include "kernel/bpf_reader.h"
#include "kernel/reading.h"

/* A namespace to read. */
struct lp_bpf_stop {
	struct lp_sample_place place;
	struct lp_reading reading; /* begun */
};

/*
 * Reads the connections of n namespaces of the same table into their readings; `hz` is jiffies a
 * second. What can't be read is a gap. 0 or -ENOMEM.
 */
int lp_bpf_sockets_read(struct lp_bpf_reader *reader, uint32_t hz, struct lp_bpf_stop *stops,
                        size_t n);
