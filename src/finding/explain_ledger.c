/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/explain_ledger.h"

#include "finding/rule.h"
#include "limit/kinds.h"
#include "snapshot/ledger.h"
#include "snapshot/owners.h"

/* ---- connects that were refused ----------------------------------------------------------------
 */

static bool is_seen(const struct lp_snapshot *snapshot, const struct lp_ledger_refusal *refusal)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (lp_netns_id_is(lp_netns_id(&snapshot->netns[i]), refusal->party.netns))
			return true;
	return false;
}

static bool is_asked_for(const struct lp_ledger_refusal *refusal, const struct lp_query *query)
{
	const struct lp_line *line = &query->line;
	if (line->address.family)
		return lp_address_is_meant(&line->address, &refusal->remote) &&
		       (!line->port || line->port == refusal->port);
	return query->of != LP_QUERY_PID || refusal->party.pid == line->pid;
}

/* Those that were asked for. */
static struct lp_refused refused_of(const struct lp_snapshot *snapshot,
                                    const struct lp_query *query)
{
	const struct lp_ledger_facts *ledger = snapshot->ledger;
	struct lp_refused sum = {0};
	for (size_t i = 0; i < ledger->n_refusals; i++) {
		const struct lp_ledger_refusal *refusal = &ledger->refusals[i];
		if (is_asked_for(refusal, query) && is_seen(snapshot, refusal))
			lp_refused_add(&sum, refusal);
	}
	return sum;
}

/* The ledger lists those with most; what it no longer lists may be what was asked for. */
static bool lists_all(const struct lp_ledger_facts *ledger)
{
	uint64_t listed = 0;
	for (size_t i = 0; i < ledger->n_refusals; i++)
		listed += ledger->refusals[i].refused;
	return listed >= ledger->refused;
}

static double seconds_between(int64_t earlier_ms, int64_t later_ms)
{
	return later_ms > earlier_ms ? (double)(later_ms - earlier_ms) / 1000 : 0;
}

static void say_refused(const struct lp_facts *facts, const struct lp_refused *sum,
                        struct lp_texts *texts)
{
	const struct lp_ledger_refusal *most = sum->most;
	double ago_s = seconds_between(sum->last->last_ms, facts->snapshot->taken_at_ms);
	char remote[LP_ADDRESS_TEXT];
	(void)lp_address_port_text(&most->remote, most->port, remote);
	if (most->refused == sum->n) {
		lp_texts_add(texts, "%s connect%s of %s (%d) to %s found no port, the last %s ago.",
		             TEXT_COUNT(sum->n), lp_text_plural(sum->n), most->party.command,
		             most->party.pid, remote, TEXT_SPAN(ago_s));
		return;
	}
	lp_texts_add(texts, "%s connects found no port, the last %s ago.", TEXT_COUNT(sum->n),
	             TEXT_SPAN(ago_s));
	lp_texts_add(texts, "Most of them, %s, are of %s (%d) to %s.", TEXT_COUNT(most->refused),
	             most->party.command, most->party.pid, remote);
}

void lp_explain_refused(const struct lp_facts *facts, const struct lp_query *query,
                        struct lp_cause *cause)
{
	const struct lp_snapshot *snapshot = facts->snapshot;
	const struct lp_ledger_facts *ledger = snapshot->ledger;
	if (!ledger || (query->of == LP_QUERY_PID && ledger->other_pids))
		return;
	struct lp_refused sum = refused_of(snapshot, query);
	double on_s = seconds_between(ledger->since_ms, snapshot->taken_at_ms);
	if (!sum.n && lists_all(ledger))
		lp_texts_add(&cause->speaks_against,
		             "No such connect was refused since the ledger is on, %s.",
		             TEXT_SPAN(on_s));
	if (!sum.n)
		return;
	say_refused(facts, &sum, &cause->speaks_for);
	bool now = seconds_between(sum.last->last_ms, snapshot->taken_at_ms) <= LP_SOON_S;
	enum lp_likely told = now ? LP_LIKELY : LP_POSSIBLE;
	if (told < cause->likely)
		cause->likely = told;
}

/* ---- what there is to say at large -------------------------------------------------------------
 */

static void say_process(const struct lp_ledger_facts *ledger, struct lp_explanation *to)
{
	uint64_t opened = 0, closed_first = 0, refused = 0;
	if (ledger->other_pids) {
		lp_texts_add(&to->ledger, "The ledger numbers processes as the machine's first PID "
		                          "namespace does, which is not the one that this was "
		                          "asked in: which of them is meant is not known.");
		return;
	}
	for (size_t i = 0; i < ledger->n_actors; i++) {
		const struct lp_ledger_actor *actor = &ledger->actors[i];
		if (actor->party.pid != to->query.line.pid)
			continue;
		opened += actor->opened;
		closed_first += actor->closed_first;
		refused += actor->refused;
	}
	if (opened || closed_first || refused)
		lp_texts_add(&to->ledger,
		             "The ledger saw it open %s connections and close %s first, which "
		             "leaves TIME_WAIT here; %s of its connects were refused.",
		             TEXT_COUNT(opened), TEXT_COUNT(closed_first), TEXT_COUNT(refused));
	else
		lp_texts_add(&to->ledger, "The ledger knows of no connection that it opened.");
}

/* Where it is asked what happens, and ports may be behind it: a finding says by itself. */
static bool is_about_ports(const struct lp_explanation *to)
{
	if (to->query.of == LP_QUERY_WORST || to->query.of == LP_QUERY_FINDING)
		return false;
	for (size_t i = 0; i < to->n_causes; i++)
		if (to->causes[i].kind == &lp_local_ports)
			return true;
	return to->query.of == LP_QUERY_PID;
}

void lp_explain_ledger(const struct lp_facts *facts, struct lp_explanation *to)
{
	const struct lp_snapshot *snapshot = facts->snapshot;
	if (!is_about_ports(to))
		return;
	if (!snapshot->ledger)
		lp_texts_add(&to->ledger,
		             "The ledger %s, so it is not known whether connects were refused, "
		             "nor who closed first: 'lastport ledger %s.",
		             snapshot->ledger_closed ? "can't be read" : "is off",
		             snapshot->ledger_closed ? "show' says why"
		                                     : "on' remembers both from then on");
	else if (to->query.of == LP_QUERY_PID)
		say_process(snapshot->ledger, to);
}
