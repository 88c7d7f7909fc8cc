/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has the connections of a pool: those that live by who holds them now, those in TIME_WAIT by
 * who closed them. What nobody can be named for is counted by the reason, never guessed.
 */

#include "snapshot/snapshot.h"

enum {
	LP_OWNERS_POOLS = 64,  /* pools of a look whose owners are told: those nearest to full */
	LP_OWNERS_LISTED = 32, /* owners of a pool; what more have is summed */
};

/* A process; or, of those that have ended, all of one command in one cgroup. */
struct lp_owner {
	pid_t pid;          /* if processes is 1 */
	uint32_t processes; /* 1, or how many that ended */
	bool ended;         /* it is known to have ended */
	char command[16];
	uint64_t cgroup_id; /* 0: not known */
	char *cgroup;       /* path; NULL: not known, or gone */
	uint32_t sharing;   /* processes more that hold one of these sockets too: forked workers */
	uint32_t states[LP_STATES];            /* connections that it holds, or closed */
	struct lp_figure opened, closed_first; /* of those there are now; from the ledger */
};

/* Why nobody is named for a connection. */
enum lp_unowned {
	LP_UNOWNED_LEDGER_OFF,    /* TIME_WAIT, and nothing remembers who closed it */
	LP_UNOWNED_LEDGER_CLOSED, /* … but who may be, and may not be asked */
	LP_UNOWNED_BEFORE_LEDGER, /* … that was not there yet … */
	LP_UNOWNED_LEDGER_LOST,   /* … or was full … */
	LP_UNOWNED_LEDGER_EITHER, /* … or one of these: it is young, and has lost some */
	LP_UNOWNED_NOBODY,        /* closed first when no process was at it */
	LP_UNOWNED_CLOSED,        /* closed by its process, and the other end has not finished */
	LP_UNOWNED_WAITING,       /* not accepted yet */
	LP_UNOWNED_HIDDEN,        /* no process that may be looked into holds it */
	LP_UNOWNED_UNSEEN, /* all were looked into: it came meanwhile, or is held from elsewhere */
	LP_UNOWNED_UNTOLD, /* what read the sockets does not tell them apart */
	LP_UNOWNED_REASONS,
};
/* Phrases: "TIME_WAIT", and "the ledger was off". */
const char *lp_unowned_what(enum lp_unowned reason);
const char *lp_unowned_why(enum lp_unowned reason);

struct lp_pool_owners {
	const struct lp_pool *pool;
	struct lp_owner *items; /* who has most comes first */
	size_t n;
	uint64_t unlisted; /* connections of owners that there is no room for */
	uint64_t unowned[LP_UNOWNED_REASONS];
	bool exact; /* false: shares of a sample */
};

/* NULL where none were looked for. */
const struct lp_pool_owners *lp_owners_of(const struct lp_snapshot *snapshot,
                                          const struct lp_pool *pool);

/* Connections of an owner, all states. */
uint64_t lp_owner_total(const struct lp_owner *owner);

void lp_owners_free(struct lp_pool_owners *owners, size_t n);
