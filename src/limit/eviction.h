/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel can evict from a full table of connection tracking: early_drop() in
 * net/netfilter/nf_conntrack_core.c looks at NF_CT_EVICTION_RANGE buckets, beginning at that of the
 * new connection, for entries that are not ASSURED. Each entry stands in two buckets, one for each
 * direction, so that with U of them in N buckets the chance that there is none is about
 * (1 - 2/N)^(8 U), e^(-16 U / N).
 */

#include <stdint.h>

/* The chance that a full table has no room for a new connection. buckets is not 0. */
double lp_eviction_refusal(uint64_t unassured, uint64_t buckets);

/*
 * How many of the entries that are not ASSURED count as reusable. Each new connection that becomes
 * ASSURED takes one away, and the fewer there are the harder they are to find. So many of them
 * that, when that many connections come to a full table one after the other, at least 99 in 100 of
 * them find room. 0 where already the next one finds none in more than one case of 100.
 */
uint64_t lp_eviction_reusable(uint64_t unassured, uint64_t buckets);
