/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints each TCP connection of its network namespace with what the ledger remembers of it, one a
 * line of JSON: the join by cookie, and nothing else. Below it a line with what was lost.
 */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "kernel/diag.h"
#include "kernel/ledger.h"

enum { CONNECTIONS = 0xffe & ~(1 << 7) & ~(1 << 10) }; /* all states but CLOSE and LISTEN */

static const char *const states[] = {
        [1] = "established", [2] = "syn-sent",   [3] = "syn-recv",
        [4] = "fin-wait-1",  [5] = "fin-wait-2", [6] = "time-wait",
        [8] = "close-wait",  [9] = "last-ack",   [11] = "closing",
};

static json_t *end(const struct lp_diag_message *m, const uint8_t *bytes, uint16_t port)
{
	struct lp_address address = lp_address_make(m->family, bytes, 0);
	char text[LP_ADDRESS_TEXT];
	return json_pack("[s,i]", lp_address_text(&address, text), port);
}

static json_t *party(const struct lp_ledger *ledger, uint32_t who)
{
	struct lp_ledger_party found;
	if (!lp_ledger_party(ledger, who, &found))
		return json_null();
	return json_pack("{s:i,s:s,s:I,s:I}", "pid", (int)found.pid, "command", found.command,
	                 "cgroup_id", (json_int_t)found.cgroup_id, "netns",
	                 (json_int_t)found.netns.inode);
}

static int tell(const struct lp_diag_message *m, void *context)
{
	const struct lp_ledger *ledger = context;
	const char *state = m->state < sizeof(states) / sizeof(states[0]) ? states[m->state] : NULL;
	json_auto_t *line = json_pack("{s:s?,s:o,s:o}", "state", state, "local",
	                              end(m, m->local, m->local_port), "remote",
	                              end(m, m->remote, m->remote_port));
	struct lp_ledger_life life;
	if (lp_ledger_find(ledger, m->cookie, &life)) {
		json_auto_t *known =
		        json_pack("{s:b,s:b,s:b,s:b,s:o,s:o}", "closed_first",
		                  (life.flags & LP_LEDGER_CLOSED_FIRST) != 0, "closed_both",
		                  (life.flags & LP_LEDGER_CLOSED_BOTH) != 0, "fin_wait2",
		                  (life.flags & LP_LEDGER_FIN_WAIT2) != 0, "exited",
		                  (life.flags & LP_LEDGER_EXITED) != 0, "opener",
		                  party(ledger, life.opener), "closer", party(ledger, life.closer));
		(void)json_object_update(line, known);
	}
	bool written = line && json_dumpf(line, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
	return written ? 0 : -EIO;
}

static int tell_all(const struct lp_ledger *ledger, struct lp_netlink_result *result)
{
	_cleanup_(lp_close_fd) int fd = lp_diag_open();
	return fd < 0 ? fd
	              : lp_diag_dump(fd, CONNECTIONS, 1, tell, (void *)(uintptr_t)ledger, result);
}

int main(void)
{
	_cleanup_(lp_ledger_closep) struct lp_ledger *ledger = NULL;
	struct lp_netlink_result result = {0};
	struct lp_error why = {0};
	int r = lp_ledger_open(lp_bpffs(), &ledger, &why);
	if (r == 0)
		r = tell_all(ledger, &result);
	if (r < 0) {
		fprintf(stderr, "ledger_tell: %s\n", why.text[0] ? why.text : strerror(-r));
		return EXIT_FAILURE;
	}
	if (result.lost || result.truncated) {
		fprintf(stderr, "ledger_tell: the kernel did not tell all\n");
		return EXIT_FAILURE;
	}
	printf("{\"lost\":%ju,\"interrupted\":%s}\n", (uintmax_t)lp_ledger_lost(ledger),
	       result.interrupted ? "true" : "false");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
