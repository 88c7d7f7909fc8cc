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
