/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Source NAT played through: nf_nat_l4proto_unique_tuple() of net/netfilter/nf_nat_core.c over a
 * range of ports, of which so many are open and all others closing, as short connections leave
 * them. The oldest one closes, the next one opens, and so on.
 */

#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct played {
	unsigned ports;
	char *state; /* of each port: PLAYED_FREE … */
	uint32_t *sequence;
	uint64_t dice;
};
enum { PLAYED_FREE, PLAYED_OPEN, PLAYED_CLOSING };

static inline uint32_t played_random(struct played *p)
{
	p->dice ^= p->dice << 13;
	p->dice ^= p->dice >> 7;
	p->dice ^= p->dice << 17;
	return (uint32_t)(p->dice >> 16);
}

/* Of so many tries, the last 32 take what is closing, where the new sequence number is ahead. */
static inline int played_round(struct played *p, unsigned tries, uint32_t sequence)
{
	enum { HARDER = 32, RANDOM_NUMBERS = 65536 };
	for (unsigned at = played_random(p) % RANDOM_NUMBERS; tries; tries--, at++) {
		unsigned port = at % RANDOM_NUMBERS % p->ports;
		bool ahead = (int32_t)(sequence - p->sequence[port]) > 0;
		if (p->state[port] == PLAYED_FREE ||
		    (p->state[port] == PLAYED_CLOSING && tries <= HARDER && ahead))
			return (int)port;
	}
	return -1;
}

/* The port that is found, or -1. */
static inline int played_search(struct played *p)
{
	enum { MOST = 128, LEAST = 16 };
	uint32_t sequence = played_random(p);
	unsigned tries = p->ports < MOST ? p->ports : MOST;
	int port = played_round(p, tries, sequence);
	while (port < 0 && tries < p->ports && tries >= LEAST)
		port = played_round(p, tries /= 2, sequence);
	if (port >= 0) {
		p->state[port] = PLAYED_OPEN;
		p->sequence[port] = sequence;
	}
	return port;
}

/* The share of SYNs that is dropped, of so many connections once all ports were used. */
static inline double played_dropped(unsigned ports, unsigned open, unsigned opens)
{
	struct played p = {.ports = ports, .dice = 88172645463325252};
	unsigned tries = 0, dropped = 0, begin = 2 * ports;
	int *held = calloc(open, sizeof(*held)), port;
	p.state = calloc(ports, sizeof(*p.state));
	p.sequence = calloc(ports, sizeof(*p.sequence));
	assert_true(held && p.state && p.sequence && open < ports);
	for (unsigned i = 0; i < begin + opens; i++) {
		if (i >= open)
			p.state[held[i % open]] = PLAYED_CLOSING;
		while ((port = played_search(&p)) < 0)
			dropped += i >= begin;
		held[i % open] = port;
		tries += i >= begin;
	}
	free(p.sequence);
	free(p.state);
	free(held);
	return dropped / (double)(tries + dropped);
}
