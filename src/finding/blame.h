/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which program a finding is about, and what it calls the remedy. Inner header of src/finding. */

#include "finding/programs.h"
#include "finding/rule.h"
#include "snapshot/owners.h"

enum { LP_BLAME_WHO = 300 };

struct lp_blame {
	char who[LP_BLAME_WHO];         /* "nginx (nginx.service)"; empty where it is not known */
	const struct lp_advice *advice; /* NULL where there is none for it */
};

/* Who has most connections of a pool. */
struct lp_blame lp_blame_of_pool(const struct lp_judging *judging, const struct lp_pool *pool);
/* Who accepts the connections of a listener's port, as far as one of its pools tells. */
struct lp_blame lp_blame_of_listener(const struct lp_judging *judging, size_t netns, uint16_t port);
struct lp_blame lp_blame_of_process(const struct lp_judging *judging,
                                    const struct lp_process *process);
/* Whether a process of that entry's names runs on the machine. */
bool lp_machine_runs(const struct lp_judging *judging, const struct lp_advice *advice);

/* A step in the program's words, "nginx: keepalive 64;", where it has one; and where it is from. */
void lp_remedy_advice(struct lp_remedy *remedy, const struct lp_advice *advice, const char *step);
void lp_remedy_documented(struct lp_remedy *remedy, const struct lp_advice *advice);
