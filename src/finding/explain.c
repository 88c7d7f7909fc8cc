/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/explain.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "finding/explain_ledger.h"
#include "finding/rule.h"
#include "limit/kinds.h"
#include "snapshot/owners.h"

const char *lp_likely_name(enum lp_likely likely)
{
	static const char *const names[] = {[LP_LIKELY] = "likely",
	                                    [LP_POSSIBLE] = "possible",
	                                    [LP_UNLIKELY] = "unlikely",
	                                    [LP_NOT_SEEN] = "not seen"};
	return names[likely];
}

/* While it is being explained. */
struct explaining {
	const struct lp_facts *facts;
	const struct lp_findings *findings;
	struct lp_explanation *to;
};

void lp_explanation_done(struct lp_explanation *explanation)
{
	for (size_t i = 0; i < explanation->n_causes; i++) {
		lp_texts_done(&explanation->causes[i].speaks_for);
		lp_texts_done(&explanation->causes[i].speaks_against);
	}
	lp_texts_done(&explanation->ledger);
	*explanation = (struct lp_explanation){0};
}

/* ---- which limit is meant ----------------------------------------------------------------------
 */

static const struct lp_limit *limit_at(const struct explaining *e, size_t index)
{
	return &e->facts->limits->items[index];
}

/* Whether a limit's scope names that address, and that port beside it, under these keys. */
static bool scope_is(const struct lp_scope *scope, const char *address_key, const char *port_key,
                     const struct lp_line *line)
{
	struct lp_address told;
	bool address = false, port = line->port == 0;
	for (size_t i = 0; i < scope->n; i++) {
		const struct lp_scope_word *word = &scope->words[i];
		address |= !strcmp(word->key, address_key) && word->type == LP_SCOPE_TEXT &&
		           lp_address_parse(word->text, &told) == 0 &&
		           lp_address_is_meant(&line->address, &told);
		port |= !strcmp(word->key, port_key) && word->type == LP_SCOPE_NUMBER &&
		        word->number == line->port;
	}
	return address && port;
}

static bool is_to(const struct lp_limit *limit, const struct lp_line *line)
{
	struct lp_scope scope = {0};
	limit->kind->scope(limit, &scope);
	return scope_is(&scope, "remote", "remote_port", line) ||
	       scope_is(&scope, "listener", "listener_port", line);
}

static bool has_destination(const struct lp_line *line)
{
	return line->address.family != 0;
}

/* Whether the kind is one a destination: others are shared by all. */
static bool is_by_destination(const struct lp_limit_kind *kind)
{
	return kind == &lp_local_ports || kind == &lp_snat_ports || kind == &lp_accept_queue ||
	       kind == &lp_syn_queue || kind == &lp_client_ports;
}

/* "nginx" is the command of nginx, "java" of Java: the program's name in small letters begins it.
 */
static bool is_command_of(const char *command, const struct lp_program_words *program)
{
	size_t i = 0;
	if (!program)
		return false;
	for (; program->program[i] && program->program[i] != ' ' && program->program[i] != '.'; i++)
		if (tolower((unsigned char)command[i]) !=
		    tolower((unsigned char)program->program[i]))
			return false;
	return i > 0;
}

static bool is_of_process(const struct lp_limit *limit, const struct lp_line *line)
{
	if (limit->kind != &lp_file_descriptors || !limit->process)
		return false;
	return line->pid ? limit->process->pid == line->pid
	                 : is_command_of(limit->process->command, line->program);
}

/* ENFILE is the machine's, EMFILE a process's. */
static bool is_right_scope(const struct lp_limit *limit, const struct lp_query *query)
{
	const struct lp_symptom *symptom = query->line.symptom;
	if (limit->kind != &lp_file_descriptors || !symptom)
		return true;
	return (limit->process == NULL) == !strcmp(symptom->id, "no-descriptor-system");
}

/* Limits come nearest first, so the first that fits is the nearest. */
static size_t find_first(const struct explaining *e, const struct lp_limit_kind *kind,
                         bool (*fits)(const struct lp_limit *, const struct lp_line *))
{
	const struct lp_query *query = &e->to->query;
	for (size_t i = 0; i < e->facts->limits->n; i++) {
		const struct lp_limit *limit = limit_at(e, i);
		if (limit->kind == kind && !limit->echo && is_right_scope(limit, query) &&
		    (!fits || fits(limit, &query->line)))
			return i;
	}
	return LP_NO_LIMIT;
}

/* What nobody has asked for yet, in the first namespace: the one that it is run in. */
static bool is_new_of_family(const struct lp_limit *limit, const struct lp_line *line)
{
	return limit->family == line->address.family && limit->netns == 0;
}

static void choose_limit(const struct explaining *e, struct lp_cause *cause)
{
	const struct lp_line *line = &e->to->query.line;
	if (cause->kind == &lp_file_descriptors) {
		cause->limit = find_first(e, cause->kind, is_of_process);
		cause->by_process = cause->limit != LP_NO_LIMIT;
		if (cause->limit == LP_NO_LIMIT && e->to->query.of != LP_QUERY_PID)
			cause->limit = find_first(e, cause->kind, NULL);
		return;
	}
	if (!has_destination(line) || !is_by_destination(cause->kind)) {
		cause->limit = find_first(e, cause->kind, NULL);
		return;
	}
	cause->limit = find_first(e, cause->kind, is_to);
	cause->by_destination = cause->limit != LP_NO_LIMIT;
	if (cause->limit == LP_NO_LIMIT && cause->kind == &lp_local_ports)
		cause->limit = find_first(e, cause->kind, is_new_of_family);
}

/* ---- what speaks for and against ---------------------------------------------------------------
 */

/* What the kernel counted of a kind's refusals since the namespace began. */
static struct lp_figure counted(const struct lp_netns *netns, const struct lp_limit_kind *kind,
                                const char **name)
{
	const struct lp_tcp_counters *tcp = &netns->tcp_counters;
	const struct {
		const struct lp_limit_kind *kind;
		const char *name;
		struct lp_figure figure;
	} counters[] = {
	        {&lp_accept_queue, "ListenOverflows", tcp->listen_overflow},
	        {&lp_syn_queue, "TCPReqQFullDrop", tcp->reqq_drops},
	        {&lp_time_wait_buckets, "TCPTimeWaitOverflow", tcp->time_wait_overflow},
	        {&lp_orphans, "TCPAbortOnMemory", tcp->abort_on_memory},
	        {&lp_tcp_memory, "TCPAbortOnMemory", tcp->abort_on_memory},
	        {&lp_conntrack_entries, "conntrack's drop", netns->conntrack_counters.drop},
	        {&lp_snat_ports, "conntrack's insert_failed",
	         netns->conntrack_counters.insert_failed},
	};
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (counters[i].kind == kind) {
			*name = counters[i].name;
			return counters[i].figure;
		}
	return (struct lp_figure){0};
}

/* A counter of the namespace of the limit, else of all that were seen. True where it moved. */
static bool say_counter(struct explaining *e, struct lp_cause *cause)
{
	const struct lp_snapshot *snapshot = e->facts->snapshot;
	const char *name = NULL;
	struct lp_figure sum = {0};
	size_t only = cause->limit == LP_NO_LIMIT ? LP_NO_NETNS : limit_at(e, cause->limit)->netns;
	for (size_t i = 0; i < snapshot->n_netns; i++) {
		struct lp_figure one = counted(&snapshot->netns[i], cause->kind, &name);
		if (!one.known || (only != LP_NO_NETNS && i != only))
			continue;
		sum = lp_figure(sum.n + one.n);
	}
	if (!sum.known)
		return false;
	if (sum.n)
		lp_texts_add(&cause->speaks_for,
		             "%s is %s since the namespace began: it has happened.", name,
		             TEXT_COUNT(sum.n));
	else
		lp_texts_add(&cause->speaks_against,
		             "%s is 0: it never happened in this namespace.", name);
	return sum.n > 0;
}

static bool has_finding(const struct lp_findings *findings, size_t limit)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct lp_finding *finding = &findings->items[i];
		if (finding->limit == limit && finding->severity >= LP_WARNING)
			return true;
		for (size_t k = 0; k < finding->n_explains; k++)
			if (finding->explains[k].limit == limit)
				return true;
	}
	return false;
}

static bool is_near(const struct explaining *e, size_t index)
{
	const struct lp_limit *limit = limit_at(e, index);
	const struct lp_real *end = &e->facts->forecasts[index].exhausted_in_s;
	return limit->pressure >= LP_NEAR || limit->headroom == 0 ||
	       (end->known && end->n <= LP_SOON_S) || has_finding(e->findings, index);
}

static void say_use(struct lp_texts *texts, const struct lp_limit *limit)
{
	if (limit->capacity >> 62) /* file-max where systemd set it */
		lp_texts_add(texts, "%s in use, without a limit.", TEXT_COUNT(limit->used));
	else
		lp_texts_add(texts, "%s in use: %s of %s, %s left.", TEXT_PERCENT(limit->pressure),
		             TEXT_COUNT(limit->used), TEXT_COUNT(limit->capacity),
		             TEXT_COUNT(limit->headroom));
}

static void say_forecast(struct explaining *e, struct lp_cause *cause)
{
	const struct lp_forecast *f = &e->facts->forecasts[cause->limit];
	if (!f->exhausted_in_s.known || limit_at(e, cause->limit)->headroom == 0)
		return;
	if (isfinite(f->exhausted_in_s.n))
		lp_texts_add(&cause->speaks_for, "At the rate of now it is full in %s.",
		             TEXT_SPAN(f->exhausted_in_s.n));
	else if (f->rate_recent.known && f->sustainable.known)
		lp_texts_add(&cause->speaks_against,
		             "%s/s now, and %s/s can last: it will not fill.",
		             TEXT_REAL(f->rate_recent.n), TEXT_REAL(f->sustainable.n));
}

/* Who closed most of what is in TIME_WAIT: the ledger remembers. */
static const struct lp_owner *closer_of(const struct lp_pool_owners *owners)
{
	const struct lp_owner *most = NULL;
	for (size_t i = 0; owners && i < owners->n; i++)
		if (owners->items[i].states[LP_TIME_WAIT] &&
		    (!most || owners->items[i].states[LP_TIME_WAIT] > most->states[LP_TIME_WAIT]))
			most = &owners->items[i];
	return most;
}

static void say_pool(struct explaining *e, struct lp_cause *cause)
{
	const struct lp_limit *limit = limit_at(e, cause->limit);
	if (!limit->kind->of_pool || !limit->pool)
		return;
	const struct lp_pool_owners *owners = lp_owners_of(e->facts->snapshot, limit->pool);
	uint32_t time_wait = limit->pool->states[LP_TIME_WAIT];
	if (cause->likely == LP_LIKELY && time_wait)
		lp_texts_add(&cause->speaks_for, "%s of its connections are in TIME_WAIT.",
		             TEXT_COUNT(time_wait));
	const struct lp_owner *closer = closer_of(owners);
	if (cause->likely == LP_LIKELY && closer)
		lp_texts_add(&cause->speaks_for, "%s of these were closed by %s%s (ledger).",
		             TEXT_COUNT(closer->states[LP_TIME_WAIT]), closer->command,
		             closer->ended ? ", which has ended" : "");
	else if (cause->likely == LP_LIKELY && owners && owners->n)
		lp_texts_add(&cause->speaks_for, "Most of them are those of %s%s.",
		             owners->items[0].command,
		             owners->items[0].ended ? ", which has ended" : "");
}

static void weigh_seen(struct explaining *e, struct lp_cause *cause)
{
	const struct lp_limit *limit = limit_at(e, cause->limit);
	bool near = is_near(e, cause->limit);
	cause->likely = near ? LP_LIKELY : LP_UNLIKELY;
	if (limit->family && has_destination(&e->to->query.line))
		lp_texts_add(&cause->speaks_against, "No connection to it, nor a TIME_WAIT: it was "
		                                     "not used from here within the "
		                                     "last "
		                                     "minute.");
	say_use(near ? &cause->speaks_for : &cause->speaks_against, limit);
	say_forecast(e, cause);
	say_pool(e, cause);
	if (say_counter(e, cause) && cause->likely == LP_UNLIKELY)
		cause->likely = LP_POSSIBLE;
	if (cause->kind == &lp_local_ports && !cause->by_process)
		lp_explain_refused(e->facts, &e->to->query, cause);
}

static void weigh_unseen(struct explaining *e, struct lp_cause *cause)
{
	cause->likely = LP_NOT_SEEN;
	if (cause->kind == &lp_conntrack_entries)
		lp_texts_add(&cause->speaks_against,
		             "No namespace that was seen tracks connections.");
	else if (cause->kind == &lp_snat_ports)
		lp_texts_add(&cause->speaks_against, "Nothing that was seen here is translated "
		                                     "that way; a router on the way may.");
	else if (e->to->query.of == LP_QUERY_PID)
		lp_texts_add(&cause->speaks_against,
		             "No process %ld was seen: it has ended, or is another user's.",
		             (long)e->to->query.line.pid);
	else if (is_by_destination(cause->kind) && has_destination(&e->to->query.line))
		lp_texts_add(&cause->speaks_against, "It is not this machine's: ask there.");
	else
		lp_texts_add(&cause->speaks_against, "None of it was seen here.");
	if (say_counter(e, cause))
		cause->likely = LP_POSSIBLE;
}

static void add_cause(struct explaining *e, const struct lp_limit_kind *kind, const char *how)
{
	struct lp_explanation *to = e->to;
	if (!kind || to->n_causes == LP_CAUSES)
		return;
	struct lp_cause *cause = &to->causes[to->n_causes++];
	*cause = (struct lp_cause){.kind = kind, .how = how};
	choose_limit(e, cause);
	if (cause->limit == LP_NO_LIMIT)
		weigh_unseen(e, cause);
	else
		weigh_seen(e, cause);
}

/* ---- what is asked -----------------------------------------------------------------------------
 */

static void add_symptom(struct explaining *e)
{
	const struct lp_symptom *symptom = e->to->query.line.symptom;
	for (int i = 0; i < LP_SYMPTOM_CAUSES && symptom->causes[i].kind; i++)
		add_cause(e, lp_limit_kind_find(symptom->causes[i].kind), symptom->causes[i].how);
}

static void add_destination(struct explaining *e)
{
	static const struct {
		const struct lp_limit_kind *kind;
		const char *how;
	} all[] = {
	        {&lp_local_ports, "each connection to it takes a local port"},
	        {&lp_conntrack_entries, "each connection takes an entry where they are tracked"},
	        {&lp_snat_ports, "each takes a port where this machine translates it"},
	        {&lp_accept_queue, "its listener, where that is this machine's"},
	        {&lp_syn_queue, "its listener's half-open connections"},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		add_cause(e, all[i].kind, all[i].how);
}

/* Local ports, where the ledger saw its connects refused. */
static void add_refused(struct explaining *e)
{
	struct lp_explanation *to = e->to;
	struct lp_cause cause = {.kind = &lp_local_ports,
	                         .how = "connects of it were refused",
	                         .likely = LP_NOT_SEEN,
	                         .limit = LP_NO_LIMIT};
	lp_explain_refused(e->facts, &to->query, &cause);
	if (cause.likely != LP_NOT_SEEN && to->n_causes < LP_CAUSES)
		to->causes[to->n_causes++] = cause;
	else
		lp_texts_done(&cause.speaks_against);
}

/* Its descriptors, and the pools of which it holds most. */
static void add_process(struct explaining *e)
{
	add_cause(e, &lp_file_descriptors, "each socket that it holds is a descriptor");
	for (size_t i = 0; i < e->facts->limits->n && e->to->n_causes < LP_CAUSES; i++) {
		const struct lp_limit *limit = limit_at(e, i);
		const struct lp_pool_owners *owners =
		        limit->kind == &lp_local_ports && limit->pool
		                ? lp_owners_of(e->facts->snapshot, limit->pool)
		                : NULL;
		if (!owners || !owners->n || owners->items[0].pid != e->to->query.line.pid)
			continue;
		struct lp_cause *cause = &e->to->causes[e->to->n_causes++];
		*cause = (struct lp_cause){.kind = limit->kind,
		                           .how = "it has most of these",
		                           .limit = i,
		                           .by_process = true};
		weigh_seen(e, cause);
	}
	add_refused(e);
}

static void add_worst(struct explaining *e)
{
	const struct lp_findings *findings = e->findings;
	if (findings->n && findings->items[0].limit != LP_NO_LIMIT)
		add_cause(e, limit_at(e, findings->items[0].limit)->kind, NULL);
	else if (!findings->n && e->facts->limits->n)
		add_cause(e, limit_at(e, 0)->kind, NULL);
}

static void add_rule(struct explaining *e)
{
	const struct lp_rule *rule = e->to->query.rule;
	for (int i = 0; i < LP_RULE_KINDS && rule->kinds[i]; i++)
		add_cause(e, rule->kinds[i], NULL);
	for (size_t i = 0; i < e->findings->n_not_judged; i++)
		if (e->findings->not_judged[i].rule == rule)
			e->to->not_judged = &e->findings->not_judged[i];
}

/* Likeliest first, and else in the order of the table. */
static void sort_causes(struct lp_explanation *to)
{
	for (size_t i = 1; i < to->n_causes; i++) {
		struct lp_cause cause = to->causes[i];
		size_t k = i;
		for (; k > 0 && to->causes[k - 1].likely > cause.likely; k--)
			to->causes[k] = to->causes[k - 1];
		to->causes[k] = cause;
	}
}

/* Whether a finding, or a symptom under it, is about the limit, or of that rule. */
static bool tells_of(const struct lp_finding *finding, size_t limit, const struct lp_rule *rule)
{
	if (rule ? finding->rule == rule : finding->limit == limit)
		return true;
	for (size_t i = 0; i < finding->n_explains; i++)
		if (tells_of(&finding->explains[i], limit, rule))
			return true;
	return false;
}

/* About the machine or the namespace at large, and that kind of limit. */
static bool is_of_kind(const struct explaining *e, const struct lp_finding *finding,
                       const struct lp_cause *cause)
{
	return finding->limit == LP_NO_LIMIT && lp_rule_is_about(finding->rule, cause->kind) &&
	       (finding->netns == LP_NO_NETNS ||
	        finding->netns == limit_at(e, cause->limit)->netns);
}

static bool is_wanted(const struct explaining *e, const struct lp_finding *finding)
{
	const struct lp_explanation *to = e->to;
	if (to->query.of == LP_QUERY_FINDING)
		return tells_of(finding, 0, to->query.rule);
	for (size_t i = 0; i < to->n_causes; i++) {
		const struct lp_cause *cause = &to->causes[i];
		if (cause->limit != LP_NO_LIMIT &&
		    (tells_of(finding, cause->limit, NULL) ||
		     (cause->likely <= LP_POSSIBLE && is_of_kind(e, finding, cause))))
			return true;
	}
	return false;
}

static void add_findings(struct explaining *e)
{
	struct lp_explanation *to = e->to;
	if (to->query.of == LP_QUERY_WORST && e->findings->n) {
		to->findings[to->n_findings++] = &e->findings->items[0];
		return;
	}
	for (size_t i = 0; i < e->findings->n && to->n_findings < LP_EXPLAINED_FINDINGS; i++)
		if (is_wanted(e, &e->findings->items[i]))
			to->findings[to->n_findings++] = &e->findings->items[i];
}

static bool is_torn(const struct lp_explanation *explanation)
{
	bool torn = explanation->ledger.torn;
	for (size_t i = 0; i < explanation->n_causes; i++)
		torn |= explanation->causes[i].speaks_for.torn |
		        explanation->causes[i].speaks_against.torn;
	return torn;
}

int lp_explain(const struct lp_facts *facts, const struct lp_findings *findings,
               const struct lp_query *query, struct lp_explanation *ret)
{
	struct explaining e = {.facts = facts, .findings = findings, .to = ret};
	*ret = (struct lp_explanation){.query = *query};
	switch (query->of) {
	case LP_QUERY_WORST:
		add_worst(&e);
		break;
	case LP_QUERY_SYMPTOM:
		add_symptom(&e);
		break;
	case LP_QUERY_DESTINATION:
		add_destination(&e);
		break;
	case LP_QUERY_PID:
		add_process(&e);
		break;
	case LP_QUERY_LIMIT:
		add_cause(&e, query->limit, NULL);
		break;
	case LP_QUERY_FINDING:
		add_rule(&e);
		break;
	}
	sort_causes(ret);
	add_findings(&e);
	lp_explain_ledger(facts, ret);
	return is_torn(ret) ? -ENOMEM : 0;
}
