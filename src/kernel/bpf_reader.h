/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The user side of bpf/sample.bpf.c: loads the programs and runs them over the kernel's tables of
 * sockets, in calls that each hold up the kernel for about a millisecond at most.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/sample.h"

struct lp_bpf_reader;

/*
 * Loads the programs. -EOPNOTSUPP: built without them; -EPERM; what else the kernel answered: `why`
 * says what is missing. *ret is the caller's; one thread at a time may use it, but for walks.
 */
int lp_bpf_reader_open(struct lp_bpf_reader **ret, struct lp_error *why);
void lp_bpf_reader_close(struct lp_bpf_reader *reader);
static inline void lp_bpf_reader_closep(struct lp_bpf_reader **reader)
{
	lp_bpf_reader_close(*reader);
}

/* Where the calling thread's namespace keeps its sockets. 0 or a negative errno. */
int lp_bpf_reader_here(struct lp_bpf_reader *reader, struct lp_sample_place *ret);

/*
 * Sets for all walks which local ports tell a tuple by themselves, whatever the remote one: those
 * of listeners, of any namespace. Others' tuples have one remote port.
 */
void lp_bpf_reader_by_local(struct lp_bpf_reader *reader, const uint64_t ports[1024]);

/*
 * One call, which may do less than was asked: `walk` tells how much. Different workers may call at
 * once; what they read is theirs until their next call. 0 or a negative errno.
 */
int lp_bpf_reader_walk(struct lp_bpf_reader *reader, struct lp_sample_walk *walk);
const struct lp_sample_out *lp_bpf_reader_out(const struct lp_bpf_reader *reader, uint32_t worker);

typedef void (*lp_bpf_take_ports)(void *context, const struct lp_sample_port *ports, uint32_t n);

/*
 * Every port that connect() passes over, and with `addresses` every port that is in use, by
 * address; of all namespaces. 0, or a negative errno; -EAGAIN: not all were seen.
 */
int lp_bpf_reader_ports(struct lp_bpf_reader *reader, const struct lp_sample_place *place,
                        bool addresses, lp_bpf_take_ports take, void *context);

/*
 * Every network namespace of the machine, whether anything leads to it or not; *ret stays until the
 * next call. 0, or a negative errno; -EAGAIN: not all were seen.
 */
int lp_bpf_reader_nets(struct lp_bpf_reader *reader, const struct lp_sample_net **ret,
                       uint32_t *ret_n);
/* Its ip_local_reserved_ports. */
int lp_bpf_reader_reserved(struct lp_bpf_reader *reader, uint64_t net, uint64_t ports[1024]);

/*
 * Jiffies a second, told by how many there were since boot when `place` was read. Measured (100 ms)
 * where that does not tell. 0 where it is none that a kernel can have.
 */
uint32_t lp_bpf_reader_hz(struct lp_bpf_reader *reader, const struct lp_sample_place *place);

/* The same from two figures; 0 where they do not tell. */
uint32_t lp_hz_since_boot(uint64_t jiffies, uint64_t now_ns);
uint32_t lp_hz_between(uint64_t jiffies, uint64_t ns);
