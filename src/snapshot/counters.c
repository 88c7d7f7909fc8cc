/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/counters.h"

const struct lp_tcp_counter lp_tcp_counter_list[LP_TCP_COUNTERS] = {
#define TCP(name, member)                                              \
	{                                                              \
		name, "Tcp:", offsetof(struct lp_tcp_counters, member) \
	}
#define EXT(name, member)                                                 \
	{                                                                 \
		name, "TcpExt:", offsetof(struct lp_tcp_counters, member) \
	}
        TCP("ActiveOpens", active_opens),
        TCP("PassiveOpens", passive_opens),
        TCP("AttemptFails", attempt_fails),
        TCP("EstabResets", estab_resets),
        TCP("InSegs", in_segs),
        TCP("RetransSegs", retrans_segs),
        TCP("OutRsts", out_rsts),
        EXT("TCPSynRetrans", syn_retrans),
        EXT("ListenOverflows", listen_overflow),
        EXT("ListenDrops", listen_drops),
        EXT("TCPReqQFullDoCookies", reqq_cookies),
        EXT("TCPReqQFullDrop", reqq_drops),
        EXT("SyncookiesSent", cookies_sent),
        EXT("SyncookiesRecv", cookies_received),
        EXT("SyncookiesFailed", cookies_failed),
        EXT("TW", time_wait),
        EXT("TWRecycled", time_wait_reused),
        EXT("TCPTimeWaitOverflow", time_wait_overflow),
        EXT("PAWSActive", paws_active),
        EXT("PAWSEstab", paws_estab),
        EXT("PAWSTimewait", paws_time_wait),
        EXT("TCPAbortOnMemory", abort_on_memory),
        EXT("TCPMemoryPressures", memory_pressures),
#undef TCP
#undef EXT
};

void lp_tcp_counters_growth(const struct lp_tcp_counters *before, const struct lp_tcp_counters *now,
                            struct lp_tcp_counters *growth)
{
	struct lp_tcp_counters was = *before, is = *now;
	*growth = (struct lp_tcp_counters){0};
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++) {
		const struct lp_tcp_counter *counter = &lp_tcp_counter_list[i];
		struct lp_figure a = *lp_tcp_figure(&was, counter),
		                 b = *lp_tcp_figure(&is, counter);
		if (a.known && b.known && b.n >= a.n)
			*lp_tcp_figure(growth, counter) = lp_figure(b.n - a.n);
	}
}
