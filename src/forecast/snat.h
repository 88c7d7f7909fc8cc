/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel's search for a port to translate to comes to. Arithmetic only.
 *
 * nf_nat_l4proto_unique_tuple() in net/netfilter/nf_nat_core.c takes a random number of 16 bits,
 * tries the ports that it and its successors stand for (modulo the size R of the range) up to 128
 *of them, then from another random number 64, then 32, 16 and 8, and gives up; where R is at most
 *128 it tries each port once. So with S(k) the share of beginnings from which k ports in a row are
 *in use, the connection is dropped with probability
 *
 *	S(128) S(64) S(32) S(16) S(8)	or S(R)
 *
 * times the chance that the client's own port, which is tried before where the rule does not say
 * "random" and it lies in the range, is in use too. Ports in use come in rows, because each search
 * takes the first free one: the shares are counted in the very map of ports, not worked out from
 *how many there are. In the last 32 tries of a row, a port whose entry is in TIME_WAIT or CLOSE is
 *taken over when the client's sequence number is ahead of the old one's
 *(nf_nat_used_tuple_harder(), of Linux 6.6 at the latest): for two connections of different ports
 *that is so in half of the cases.
 */

#include "snapshot/nat.h"

struct lp_snat_chance {
	double refused; /* that the next connection finds no port: 0 to 1 */
	double found;   /* how many ports in use it meets on average: conntrack's counter `found` */
};

/* Of a pool whose ports are all known. 0 or -ENOMEM. */
int lp_snat_chance(const struct lp_nat_pool *pool, struct lp_snat_chance *ret);
