/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/conntrack.h"

const struct lp_conntrack_counter lp_conntrack_counter_list[LP_CONNTRACK_COUNTERS] = {
#define COUNTER(member)                                                 \
	{                                                               \
#member, offsetof(struct lp_conntrack_counters, member) \
	}
        COUNTER(found),         COUNTER(invalid),        COUNTER(insert), COUNTER(insert_failed),
        COUNTER(drop),          COUNTER(early_drop),     COUNTER(error),  COUNTER(search_restart),
        COUNTER(clash_resolve), COUNTER(chain_too_long),
#undef COUNTER
};

void lp_conntrack_growth(const struct lp_conntrack_counters *before,
                         const struct lp_conntrack_counters *now,
                         struct lp_conntrack_counters *growth)
{
	struct lp_conntrack_counters was = *before, is = *now;
	for (size_t i = 0; i < LP_CONNTRACK_COUNTERS; i++) {
		const struct lp_conntrack_counter *counter = &lp_conntrack_counter_list[i];
		*lp_conntrack_figure(growth, counter) = lp_conntrack_grew(
		        *lp_conntrack_figure(&was, counter), *lp_conntrack_figure(&is, counter));
	}
}

const char *lp_conntrack_state_name(unsigned state)
{
	static const char *const names[LP_CT_STATES] = {
	        "none",       "syn_sent", "syn_recv",  "established", "fin_wait",
	        "close_wait", "last_ack", "time_wait", "close",       "syn_sent2",
	};
	return names[state];
}

const char *lp_conntrack_protocol_name(enum lp_conntrack_protocol protocol)
{
	static const char *const names[LP_CT_PROTOCOLS] = {
	        [LP_CT_TCP] = "tcp",
	        [LP_CT_UDP] = "udp",
	        [LP_CT_ICMP] = "icmp",
	        [LP_CT_OTHER] = "other",
	};
	return names[protocol];
}
