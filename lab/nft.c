/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/nft.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "kernel/nft.h"

int lab_nft(const struct lab_ns *ns, struct lp_error *err, const char *commands, ...)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	va_list args;
	va_start(args, commands);
	int length = vasprintf(&text, commands, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return lp_fail(err, ENOMEM, "nftables: no memory");
	}
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	return lp_nft_run(text, NULL, err);
}

int lab_nft_track(const struct lab_ns *ns, struct lp_error *err)
{
	/* One rule that looks at the state switches tracking on at every hook. */
	return lab_nft(ns, err,
	               "table inet track { chain in { type filter hook input priority 0; "
	               "ct state new counter; }; }");
}

int lab_nft_untrack(const struct lab_ns *ns, uint16_t port, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table inet untrack {"
	               " chain out { type filter hook output priority raw;"
	               "  tcp dport %1$u notrack; tcp sport %1$u notrack; };"
	               " chain in { type filter hook prerouting priority raw;"
	               "  tcp dport %1$u notrack; tcp sport %1$u notrack; }; }",
	               port);
}

int lab_nft_snat(const struct lab_ns *ns, const char *link, const char *address, uint16_t first,
                 uint16_t last, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table ip translate { chain out {"
	               " type nat hook postrouting priority srcnat;"
	               " oifname \"%s\" meta l4proto tcp snat to %s:%u-%u; }; }",
	               link, address, first, last);
}

int lab_nft_drop(const struct lab_ns *ns, uint16_t port, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table inet lose { chain in { type filter hook prerouting priority raw;"
	               " tcp dport %u drop; }; }",
	               port);
}

int lab_nft_flush(const struct lab_ns *ns, struct lp_error *err)
{
	return lab_nft(ns, err, "flush ruleset");
}
