/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The user side of bpf/sample.bpf.c: loads the programs and runs them over the kernel's tables of
 * sockets, in calls that each hold up the kernel for about a millisecond at most.
 */

#include <stdint.h>

#include "base/error.h"
#include "bpf/sample.h"

struct lp_bpf_reader;

/*
 * Loads the programs. -EOPNOTSUPP: built without them; -EPERM; what else the kernel answered: `why`
 * says what is missing. *ret is the caller's; one thread at a time may use it.
 */
int lp_bpf_reader_open(struct lp_bpf_reader **ret, struct lp_error *why);
void lp_bpf_reader_close(struct lp_bpf_reader *reader);
static inline void lp_bpf_reader_closep(struct lp_bpf_reader **reader)
{
	lp_bpf_reader_close(*reader);
}

/* Where the calling thread's namespace keeps its sockets. 0 or a negative errno. */
int lp_bpf_reader_here(struct lp_bpf_reader *reader, struct lp_sample_place *ret);

/* How a walk went. */
struct lp_bpf_walk {
	uint64_t again; /* stretches walked again because they changed */
	uint64_t torn;  /* stretches that changed each time: not wholly read */
	uint64_t moved; /* sockets that became others while they were read */
};

typedef void (*lp_bpf_take_sockets)(void *context, const struct lp_sample_record *records,
                                    uint32_t n);
typedef void (*lp_bpf_take_ports)(void *context, const struct lp_sample_port *ports, uint32_t n);

/*
 * Every socket of the table of connections of `place`, of all namespaces that share it: `take` gets
 * some thousand at a time. 0 or a negative errno.
 */
int lp_bpf_reader_walk(struct lp_bpf_reader *reader, const struct lp_sample_place *place,
                       lp_bpf_take_sockets take, void *context, struct lp_bpf_walk *ret);

/*
 * Every port that connect() passes over, of all namespaces. 0, or a negative errno; -EAGAIN: not
 * all were seen.
 */
int lp_bpf_reader_ports(struct lp_bpf_reader *reader, const struct lp_sample_place *place,
                        lp_bpf_take_ports take, void *context);

/*
 * Jiffies a second, told by how many there were since boot when `place` was read. Measured (100 ms)
 * where that does not tell. 0 where it is none that a kernel can have.
 */
uint32_t lp_bpf_reader_hz(struct lp_bpf_reader *reader, const struct lp_sample_place *place);

/* The same from two figures; 0 where they do not tell. */
uint32_t lp_hz_since_boot(uint64_t jiffies, uint64_t now_ns);
uint32_t lp_hz_between(uint64_t jiffies, uint64_t ns);
