/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ledger has remembered, whoever it was of. */

#include <sys/types.h>

#include "base/address.h"
#include "base/figure.h"
#include "base/netns_id.h"

/* A table of the ledger. */
struct lp_ledger_table {
	const char *name;
	uint64_t used, size; /* rows */
	uint64_t lost;       /* what gave way to others: sockets, processes, connects */
};
enum { LP_LEDGER_TABLES = 4 };

struct lp_ledger_party {
	struct lp_netns_id netns; /* that its sockets are in */
	uint64_t cgroup_id;
	uint64_t start_ns; /* when the process began, since boot */
	pid_t pid;         /* as the initial PID namespace numbers it */
	char command[16];
};

/* A process, in a namespace and a cgroup. */
struct lp_ledger_actor {
	struct lp_ledger_party party;
	uint64_t opened, closed_first, refused;
};

enum lp_refusal {
	LP_REFUSAL_NO_PORT,    /* the range is exhausted */
	LP_REFUSAL_BOUND_PORT, /* the port that bind() had given the socket has this destination */
	LP_REFUSALS,
};
/* "no-port", "bound-port". */
const char *lp_refusal_name(enum lp_refusal refusal);

/* Connects that were refused for want of a port. */
struct lp_ledger_refusal {
	struct lp_ledger_party party;
	struct lp_address remote;
	uint16_t port;
	enum lp_refusal why;
	uint64_t refused;
	/* of this party and destination, for any reason: first and last since the epoch … */
	int64_t first_ms, last_ms;
	uint64_t all, all_ns; /* … how many, and the time that their searches took */
};

/* Some of them: how many connects, the one with most, and the last one. All 0: none. */
struct lp_refused {
	uint64_t n;
	const struct lp_ledger_refusal *most, *last;
};
void lp_refused_add(struct lp_refused *sum, const struct lp_ledger_refusal *refusal);

/* [i] counts searches of less than 2^(i+10) ns; the last what took longer. */
enum { LP_SEARCH_TIMES = 24 };

/* How long connects to a destination looked for a port. */
struct lp_ledger_search_times {
	struct lp_netns_id netns;
	struct lp_address remote;
	uint16_t port;
	uint64_t times[LP_SEARCH_TIMES];  /* since the ledger was turned on */
	uint64_t recent[LP_SEARCH_TIMES]; /* in the last one or two stretches of 69 s */
	uint64_t total_ns;                /* of all that were measured */
	uint64_t unmeasured;              /* its SYN was sent twice, or with TCP Fast Open */
};

struct lp_netns_name {
	struct lp_netns_id id;
	char *name;
};

struct lp_ledger_facts {
	int64_t since_ms; /* since the epoch */
	struct lp_ledger_table tables[LP_LEDGER_TABLES];
	uint64_t lost_open, lost_time_wait; /* of the sockets that were lost: what they were */
	struct lp_figure missed;            /* changes of state while another one was being noted */
	uint64_t unowned;                   /* closed first when no process was at it */
	uint64_t opened, closed_first, refused; /* by all, those no longer listed too */
	struct lp_ledger_actor *actors;
	size_t n_actors;
	struct lp_ledger_refusal *refusals; /* most refused first */
	size_t n_refusals;
	struct lp_ledger_search_times *searches; /* most connects first */
	size_t n_searches;
	bool other_pids;             /* the caller's PID namespace numbers processes otherwise */
	struct lp_netns_name *names; /* of namespaces that have one */
	size_t n_names;
};

/* The name of a namespace, or NULL: it has none, or ended. */
const char *lp_ledger_netns_name(const struct lp_ledger_facts *facts, struct lp_netns_id id);

void lp_ledger_facts_free(struct lp_ledger_facts *facts);
static inline void lp_ledger_facts_freep(struct lp_ledger_facts **facts)
{
	lp_ledger_facts_free(*facts);
}

/*
 * The time that a part (0 to 1) of the searches stayed below, in ns: the upper end of its bucket.
 * UINT64_MAX in the last one, which has none; not known without any searches.
 */
struct lp_figure lp_search_quantile(const uint64_t times[LP_SEARCH_TIMES], double part);
uint64_t lp_search_count(const uint64_t times[LP_SEARCH_TIMES]);
