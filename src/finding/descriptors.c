/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* descriptors-near, and a leak that may be behind it: close-wait-leak. */

#include <stdio.h>

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"

/* ---- descriptors-near ----------------------------------------------------------------------- */

static enum lp_severity test_near(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	(void)judging;
	const struct lp_limit *limit = subject->limit;
	if (limit->pressure < LP_NEAR)
		return LP_FINE;
	return limit->headroom ? LP_WARNING : LP_CRITICAL;
}

static void tell_near(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	(void)judging;
	const struct lp_limit *limit = subject->limit;
	if (!limit->process) {
		lp_finding_summary(finding, "The system has %s of %s files open.",
		                   TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity));
		lp_finding_cause(finding, "fs.file-max bounds the files of all processes together: "
		                          "beyond it calls fail with ENFILE.");
	} else {
		lp_finding_summary(finding, "%s (%d) has %s of %s descriptors open.",
		                   limit->process->command, limit->process->pid,
		                   TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity));
		lp_finding_cause(finding, "Each connection takes one, and its soft RLIMIT_NOFILE "
		                          "bounds them: beyond it calls fail with EMFILE.");
	}
	lp_finding_evidence(finding, "%s %s left.",
	                    limit->headroom ? TEXT_COUNT(limit->headroom) : "None",
	                    limit->headroom > 1 ? "are" : "is");
}

/* The hard limit stays where it is enough: nobody lowers it for more. */
static uint64_t hard_of(const struct lp_process *process, uint64_t then)
{
	return process->hard_limit > then ? process->hard_limit : then;
}

static void advise_process(const struct lp_judging *judging, const struct lp_process *process,
                           uint64_t then, struct lp_remedy *remedy)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_program *program = lp_snapshot_program(snapshot, process->pid);
	const struct lp_advice *advice = lp_blame_of_process(judging, process).advice;
	const struct lp_figure *most = &snapshot->machine.nr_open;
	unsigned long long soft = then, hard = hard_of(process, then);
	if (most->known && most->n < then) /* do_prlimit() in kernel/sys.c: EPERM */
		lp_remedy_step(remedy, "sysctl -w fs.nr_open=%llu", soft);
	if (program && *program->unit)
		lp_remedy_step(remedy,
		               "systemctl edit %s: [Service] LimitNOFILE=%llu:%llu, then "
		               "restart it.",
		               program->unit, soft, hard);
	else
		lp_remedy_step(remedy,
		               "Where it is started: ulimit %s %llu, or LimitNOFILE=%llu:%llu of "
		               "its unit.",
		               hard > soft ? "-Sn" : "-n", soft, soft, hard);
	if (advice)
		lp_remedy_advice(remedy, advice, advice->descriptors);
	lp_remedy_step(remedy, "Until then: prlimit --pid %d --nofile=%llu:%llu", process->pid,
	               soft, hard);
}

/* Twice as many at least; of a process no more than it may have, where that is much more. */
static uint64_t more_of(const struct lp_judging *judging, const struct lp_limit *limit)
{
	enum { ENOUGH = 65536 };
	const struct lp_figure *most = &judging->facts->snapshot->machine.nr_open;
	uint64_t now = limit->capacity, then = now * 2 > ENOUGH ? now * 2 : ENOUGH;
	if (!limit->process)
		return then;
	if (limit->process->hard_limit >= now * 2 && limit->process->hard_limit < then)
		return limit->process->hard_limit; /* root is not needed for it */
	return most->known && most->n >= now + now / 4 && most->n < then ? most->n : then;
}

static void advise_near(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	enum { SELECT_MOST = 1024 };
	const struct lp_limit *limit = subject->limit;
	uint64_t then = more_of(judging, limit);
	struct lp_remedy *remedy = lp_remedy_add(finding, "Allow more descriptors");
	if (limit->process)
		advise_process(judging, limit->process, then, remedy);
	else
		lp_remedy_step(remedy, "sysctl -w fs.file-max=%llu", (unsigned long long)then);
	lp_remedy_change(remedy, "descriptors", (double)limit->capacity, (double)then);
	lp_remedy_relief(remedy, 1, (double)limit->capacity / (double)then);
	if (limit->process && limit->capacity <= SELECT_MOST)
		lp_remedy_risk(remedy, LP_RISK_LOW,
		               "A program that uses select() can't have more than %d.",
		               SELECT_MOST);
	else
		lp_remedy_risk(remedy, LP_RISK_NONE,
		               "Should it leak them, this only puts the end off.");
}

const struct lp_rule lp_rule_descriptors_near = {
        .id = "descriptors-near",
        .title = "a process runs short of descriptors",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_file_descriptors},
        .symptom = true,
        .test = test_near,
        .tell = tell_near,
        .advise = advise_near,
};

/* ---- close-wait-leak ------------------------------------------------------------------------ */

/*
 * Where the other ends closed so many that the program here should have noticed. A busy server has
 * a few at any moment; more of them than open connections is no moment.
 */
static enum lp_severity test_leak(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	enum { FEW = 50 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t leaked = netns->states[LP_CLOSE_WAIT];
	return leaked >= FEW && leaked >= netns->states[LP_ESTABLISHED] ? LP_WARNING : LP_FINE;
}

/* The pool that most of them are in, or NULL. */
static const struct lp_pool *worst(const struct lp_netns *netns)
{
	const struct lp_pool *most = NULL;
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].states[LP_CLOSE_WAIT] >
		    (most ? most->states[LP_CLOSE_WAIT] : 0))
			most = &netns->pools[i];
	return most;
}

static void tell_worst(const struct lp_judging *judging, const struct lp_pool *pool,
                       struct lp_finding *finding)
{
	const struct lp_blame blame = lp_blame_of_pool(judging, pool);
	char remote[LP_ADDRESS_TEXT];
	if (*blame.who)
		lp_finding_evidence(finding, "%s has most of the connections there.", blame.who);
	if (pool->key.side == LP_OPENED)
		lp_finding_evidence(
		        finding, "%s of them were opened to %s.",
		        TEXT_COUNT(pool->states[LP_CLOSE_WAIT]),
		        lp_address_port_text(&pool->key.remote, pool->key.port, remote));
	else
		lp_finding_evidence(finding, "%s of them were accepted at port %u, from %s.",
		                    TEXT_COUNT(pool->states[LP_CLOSE_WAIT]), pool->key.port,
		                    lp_address_text(&pool->key.remote, remote));
}

static void tell_leak(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_pool *pool = worst(netns);
	lp_finding_summary(finding, "%s connections are in CLOSE_WAIT: closed there, not here.",
	                   TEXT_COUNT(netns->states[LP_CLOSE_WAIT]));
	lp_finding_cause(finding, "A program does not call close() on connections that the other "
	                          "end has ended; each keeps a descriptor and its port for ever.");
	lp_finding_evidence(finding, "There are %s established ones beside them.",
	                    TEXT_COUNT(netns->states[LP_ESTABLISHED]));
	if (pool)
		tell_worst(judging, pool, finding);
}

static void advise_leak(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	struct lp_remedy *remedy =
	        lp_remedy_add(finding, "Find who forgets to close, and restart it");
	lp_remedy_step(remedy, "ss -Htnp state close-wait shows the program that holds them.");
	lp_remedy_step(remedy, "Close in every path of the program, also after an error and when "
	                       "read() gives 0. A restart frees them until then.");
	lp_remedy_change(remedy, "descriptors held for nothing",
	                 (double)netns->states[LP_CLOSE_WAIT], 0);
	lp_remedy_risk(remedy, LP_RISK_LOW, "A restart ends its other connections too.");
	lp_remedy_relief(remedy, 1, 0);
}

/* A process that lacks descriptors about as many as these are. */
static bool explains_leak(const struct lp_judging *judging, const struct lp_finding *cause,
                          const struct lp_finding *symptom)
{
	const struct lp_limit *limit = lp_finding_limit(judging, symptom);
	const struct lp_netns *netns = &judging->facts->snapshot->netns[cause->netns];
	if (!limit || !symptom->rule->symptom)
		return false;
	if (limit->kind == &lp_file_descriptors)
		return limit->process && netns->states[LP_CLOSE_WAIT] * 2 >= limit->used;
	return limit->kind == &lp_local_ports && limit->netns == cause->netns && limit->pool &&
	       limit->pool->states[LP_CLOSE_WAIT] * 2U >= limit->used;
}

const struct lp_rule lp_rule_close_wait_leak = {
        .id = "close-wait-leak",
        .title = "a program does not close what the other end closed",
        .of = LP_RULE_OF_NETNS,
        .kinds = {&lp_file_descriptors, &lp_local_ports},
        .needs = LP_NEED_SOCKETS,
        .test = test_leak,
        .tell = tell_leak,
        .advise = advise_leak,
        .explains = explains_leak,
};
