/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rules of source NAT: which addresses and ports they translate to. */

#include "base/error.h"
#include "snapshot/nat.h"

struct lp_nat_rule {
	int family;                 /* AF_INET, AF_INET6, or 0: both */
	bool masquerade;            /* to whatever address the link has */
	struct lp_address from, to; /* the addresses, both included */
	uint16_t low, high;         /* the ports, both included; 0: no range given */
	bool random;                /* "random" or "fully-random" */
};

/* A chain whose rules are of interest. */
struct lp_nat_chain {
	char family[16], table[128], name[128];
};

enum { LP_NAT_RULES = 128, LP_NAT_CHAINS = 64 };

/* What was read of them, in the order of the rules. */
struct lp_nat_rules {
	struct lp_nat_rule items[LP_NAT_RULES];
	size_t n;
	struct lp_nat_chain chains[LP_NAT_CHAINS];
	size_t n_chains;
	bool opaque; /* something translates that can't be read: an iptables target, a map */
	bool cut;    /* more rules or chains than there is room for */
};

/*
 * Reads the rules of the calling thread's namespace by libnftables, which sees those of
 * iptables-nft too but can't read what their targets do. 0, or a negative errno with the sentence
 * in err.
 */
int lp_nat_rules_read(struct lp_nat_rules *ret, struct lp_error *err);

/*
 * Takes over what libnftables prints as JSON: base chains of source NAT and the chains that rules
 * jump to, each once, and the rules. -EINVAL, and what was found so far, where it is none.
 */
int lp_nat_rules_parse(const char *json, struct lp_nat_rules *rules);

/*
 * The range of a pool's ports: by the rule that translates to its address; of several with
 * different ranges by the one that most of the ports in use lie in.
 */
struct lp_nat_range lp_nat_range_of(const struct lp_nat_rules *rules,
                                    const struct lp_nat_pool *pool);
