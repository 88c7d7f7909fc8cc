/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connection tracking: conntrack-full, conntrack-near, conntrack-hash-small,
 * conntrack-outlives-time-wait.
 */

#include <stdio.h>

#include "finding/blame.h"
#include "finding/rules.h"
#include "limit/kinds.h"

enum { ENTRY_SIZE = 320 }; /* bytes of slab, and the buckets for it */

/* Entries whose connection is over: counted, or as its sockets' TIME_WAITs tell if it has them. */
static uint64_t over(const struct lp_netns *netns)
{
	if (netns->conntrack)
		return netns->conntrack->states[LP_CT_TIME_WAIT];
	if (!netns->time_wait.known || !netns->conntrack_time_wait_s.known)
		return 0;
	uint64_t n = netns->time_wait.n * netns->conntrack_time_wait_s.n / LP_TIME_WAIT_S;
	return n < netns->conntrack_entries.n ? n : netns->conntrack_entries.n;
}

/* ---- full and near -------------------------------------------------------------------------- */

/* Packets lost between two looks because the table was full, and not for another reason. */
static uint64_t dropped_now(const struct lp_netns *netns)
{
	const struct lp_conntrack_counters *growth = &netns->conntrack_growth;
	uint64_t clashes = growth->insert_failed.known ? growth->insert_failed.n : 0;
	return growth->drop.known && growth->drop.n > clashes ? growth->drop.n - clashes : 0;
}

/*
 * What the kernel said of this table within the last minute, or NULL. A line names a namespace by
 * its inode, which another one may have had before: then nothing was dropped in this one.
 */
static const struct lp_log_entry *logged(const struct lp_judging *judging,
                                         const struct lp_subject *subject)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	const struct lp_figure drops = netns->conntrack_counters.drop;
	if (drops.known && !drops.n)
		return NULL;
	for (size_t i = 0; i < snapshot->log.n; i++) {
		const struct lp_log_entry *entry = &snapshot->log.entries[i];
		bool ours = entry->netns ? entry->netns == netns->inode : netns->initial;
		if (entry->what == LP_LOG_CONNTRACK_FULL && ours &&
		    snapshot->taken_at_ms - entry->last_ms <= (int64_t)LP_SOON_S * 1000)
			return entry;
	}
	return NULL;
}

/* It never stays at the very end: an entry goes, and the next packet takes its place. */
static bool is_full(const struct lp_judging *judging, const struct lp_subject *subject)
{
	enum { AS_GOOD_AS = 9950 };
	const struct lp_limit *limit = subject->limit;
	if (limit->pressure < LP_NEARLY_FULL)
		return false;
	return limit->pressure >= AS_GOOD_AS || logged(judging, subject) ||
	       dropped_now(lp_subject_netns(judging, subject));
}

static enum lp_severity test_full(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	return is_full(judging, subject) ? LP_CRITICAL : LP_FINE;
}

static enum lp_severity test_near(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	bool near = subject->limit->pressure >= LP_NEAR && !is_full(judging, subject);
	return near ? LP_WARNING : LP_FINE;
}

static void tell_evidence(const struct lp_netns *netns, struct lp_finding *finding)
{
	const struct lp_conntrack_counters *counters = &netns->conntrack_counters;
	if (counters->drop.known && counters->drop.n)
		lp_finding_evidence(finding, "%s packet%s dropped since the namespace began.",
		                    TEXT_COUNT(counters->drop.n),
		                    counters->drop.n == 1 ? " was" : "s were");
	if (counters->early_drop.known && counters->early_drop.n)
		lp_finding_evidence(finding, "%s entries were evicted early for new ones.",
		                    TEXT_COUNT(counters->early_drop.n));
	if (over(netns))
		lp_finding_evidence(finding,
		                    "About %s entries are of connections that are over: there are "
		                    "%s TIME_WAITs, and an entry stays %s s.",
		                    TEXT_COUNT(over(netns)), TEXT_COUNT(netns->time_wait.n),
		                    TEXT_COUNT(netns->conntrack_time_wait_s.n));
}

/* Who has most entries, where they were read. */
static void tell_talkers(const struct lp_netns *netns, struct lp_finding *finding)
{
	const struct lp_conntrack_detail *detail = netns->conntrack;
	char address[LP_ADDRESS_TEXT];
	if (!detail)
		return;
	if (detail->sources.n)
		lp_finding_evidence(finding, "%s has most of them: %s, opened from there.",
		                    lp_address_text(&detail->sources.items[0].address, address),
		                    TEXT_COUNT(detail->sources.items[0].entries));
	if (detail->destinations.n)
		lp_finding_evidence(
		        finding, "Most go to %s: %s.",
		        lp_address_text(&detail->destinations.items[0].address, address),
		        TEXT_COUNT(detail->destinations.items[0].entries));
}

static void tell_cause(const struct lp_netns *netns, struct lp_finding *finding)
{
	const struct lp_conntrack_detail *detail = netns->conntrack;
	uint64_t established = detail ? detail->states[LP_CT_ESTABLISHED] : 0;
	if (over(netns) * 2 >= netns->conntrack_entries.n)
		lp_finding_cause(finding, "Most entries are of short connections that are over "
		                          "already, and each is kept for some time.");
	else if (established * 2 >= netns->conntrack_entries.n)
		lp_finding_cause(finding,
		                 "%s entries are of established connections: they are "
		                 "open, or idle ones that are kept for days.",
		                 TEXT_COUNT(established));
	else
		lp_finding_cause(finding, "So many connections are tracked, or were and have not "
		                          "timed out: an idle one is kept for days.");
}

static void tell_full(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	lp_finding_summary(finding,
	                   "The conntrack table is full, %s of %s: packets of new "
	                   "connections are dropped.",
	                   TEXT_COUNT(subject->limit->used), TEXT_COUNT(subject->limit->capacity));
	tell_cause(netns, finding);
	const struct lp_log_entry *line = logged(judging, subject);
	if (line)
		lp_finding_evidence(
		        finding, "The kernel logged \"table full, dropping packet\" %s ago.",
		        TEXT_SPAN((double)(judging->facts->snapshot->taken_at_ms - line->last_ms) /
		                  1000));
	lp_finding_evidence(finding, "Clients get no answer and time out.");
	tell_evidence(netns, finding);
	tell_talkers(netns, finding);
}

static void tell_near(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	lp_finding_summary(finding, "The conntrack table is %s full: %s of %s entries.",
	                   TEXT_PERCENT(subject->limit->pressure), TEXT_COUNT(subject->limit->used),
	                   TEXT_COUNT(subject->limit->capacity));
	tell_cause(netns, finding);
	lp_finding_evidence(finding, "%s entries are left.", TEXT_COUNT(subject->limit->headroom));
	tell_evidence(netns, finding);
	tell_talkers(netns, finding);
}

#define IN_THE_FIRST "in the machine's first namespace"

/* Where a setting of the whole machine can be changed: a comment to the shell. */
static const char *where(const struct lp_netns *netns)
{
	return netns->initial ? "" : " # " IN_THE_FIRST;
}

static void advise_more(const struct lp_judging *judging, const struct lp_netns *netns,
                        const struct lp_limit *limit, struct lp_finding *finding)
{
	const struct lp_advice *kube = lp_advice_find("kube-proxy");
	uint64_t then = limit->capacity * 2;
	char bytes[LP_FIGURE_TEXT];
	struct lp_remedy *remedy = lp_remedy_add(finding, "Allow more entries");
	lp_remedy_step(remedy, "sysctl -w net.netfilter.nf_conntrack_max=%llu%s",
	               (unsigned long long)then, where(netns));
	if (netns->conntrack_buckets.known && netns->conntrack_buckets.n < then / 2)
		lp_remedy_step(remedy,
		               "sysctl -w net.netfilter.nf_conntrack_buckets=%llu # %sor each "
		               "lookup gets slower",
		               (unsigned long long)then / 2,
		               netns->initial ? "" : IN_THE_FIRST ", ");
	if (kube && lp_machine_runs(judging, kube))
		lp_remedy_advice(remedy, kube, kube->conntrack);
	lp_remedy_change(remedy, "entries", (double)limit->capacity, (double)then);
	lp_remedy_risk(remedy, LP_RISK_LOW, "So many take up to %s of kernel memory.",
	               lp_text_bytes(then * ENTRY_SIZE, bytes));
	lp_remedy_relief(remedy, 2, 1);
}

/* With a shorter timeout for what is over. The socket itself stays LP_TIME_WAIT_S. */
static void advise_shorter(const struct lp_netns *netns, const struct lp_limit *limit,
                           struct lp_finding *finding)
{
	const struct lp_figure *now_s = &netns->conntrack_time_wait_s;
	if (!over(netns) || now_s->n <= LP_TIME_WAIT_S)
		return;
	uint64_t gone = over(netns) - over(netns) * LP_TIME_WAIT_S / now_s->n;
	struct lp_remedy *remedy =
	        lp_remedy_add(finding, "Forget connections that are over sooner");
	lp_remedy_sysctl(remedy, netns, "net.netfilter.nf_conntrack_tcp_timeout_time_wait=%d",
	                 LP_TIME_WAIT_S);
	lp_remedy_change(remedy, "entries in use", (double)limit->used,
	                 (double)(limit->used - gone));
	lp_remedy_risk(remedy, LP_RISK_LOW,
	               "An entry then goes with the socket; later segments count as invalid.");
	lp_remedy_relief(remedy, (double)limit->used, (double)(limit->used - gone));
}

static void advise_no_track(const struct lp_limit *limit, struct lp_finding *finding)
{
	struct lp_remedy *remedy = lp_remedy_add(finding, "Leave the busiest traffic untracked");
	lp_remedy_step(remedy, "nft add rule inet filter raw_out tcp dport PORT notrack, the same "
	                       "for the answers, in chains at priority raw.");
	lp_remedy_effect(remedy, "no entries for that traffic");
	lp_remedy_risk(remedy, LP_RISK_REAL,
	               "Rules about its state (ct state, NAT) no longer see it.");
	lp_remedy_relief(remedy, (double)limit->used, (double)limit->used / 2);
}

static void advise(const struct lp_judging *judging, const struct lp_subject *subject,
                   struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	advise_more(judging, netns, subject->limit, finding);
	advise_shorter(netns, subject->limit, finding);
	advise_no_track(subject->limit, finding);
}

const struct lp_rule lp_rule_conntrack_full = {
        .id = "conntrack-full",
        .title = "the conntrack table is full",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_conntrack_entries},
        .symptom = true,
        .test = test_full,
        .tell = tell_full,
        .advise = advise,
};

const struct lp_rule lp_rule_conntrack_near = {
        .id = "conntrack-near",
        .title = "the conntrack table is nearly full",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_conntrack_entries},
        .symptom = true,
        .test = test_near,
        .tell = tell_near,
        .advise = advise,
};

/* ---- conntrack-hash-small ------------------------------------------------------------------- */

enum { ENTRIES_A_BUCKET = 4 };

/* A namespace that knows the one hash table, which all of them share; NULL: none does. */
static const struct lp_netns *knows_table(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].conntrack_buckets.known &&
		    snapshot->netns[i].conntrack_buckets.n)
			return &snapshot->netns[i];
	return NULL;
}

/* Each entry is in two chains. More than eight to a chain, which no default gives. */
static enum lp_severity test_hash(const struct lp_judging *judging,
                                  const struct lp_subject *subject)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_figure *entries = &snapshot->machine.conntrack_entries;
	const struct lp_netns *netns = knows_table(snapshot);
	(void)subject;
	bool crowded = netns && entries->known &&
	               entries->n > ENTRIES_A_BUCKET * netns->conntrack_buckets.n;
	return crowded ? LP_WARNING : LP_FINE;
}

static void tell_hash(const struct lp_judging *judging, const struct lp_subject *subject,
                      struct lp_finding *finding)
{
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_machine *machine = &snapshot->machine;
	const struct lp_netns *netns = knows_table(snapshot);
	uint64_t entries = machine->conntrack_entries.n, buckets = netns->conntrack_buckets.n;
	(void)subject;
	lp_finding_summary(finding,
	                   "Each packet walks about %s conntrack entries: the hash table "
	                   "is small.",
	                   TEXT_REAL((double)entries / (double)buckets));
	if (netns->conntrack_max.n > ENTRIES_A_BUCKET * buckets)
		lp_finding_cause(finding,
		                 "nf_conntrack_max was raised and nf_conntrack_buckets was not.");
	else
		lp_finding_cause(finding, "nf_conntrack_max holds for each namespace by itself, "
		                          "but the hash table is one for all.");
	lp_finding_evidence(finding, "%s entries of %s namespace%s, twice each, in %s buckets.",
	                    TEXT_COUNT(entries), TEXT_COUNT(machine->conntrack_namespaces),
	                    lp_text_plural(machine->conntrack_namespaces), TEXT_COUNT(buckets));
	if (machine->conntrack_torn)
		lp_finding_evidence(finding, "Not all namespaces could be read: there may be more "
		                             "entries.");
}

static void advise_hash(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding)
{
	enum { BUCKET_SIZE = 8 };
	const struct lp_snapshot *snapshot = judging->facts->snapshot;
	const struct lp_netns *netns = knows_table(snapshot);
	uint64_t entries = snapshot->machine.conntrack_entries.n, max = netns->conntrack_max.n;
	uint64_t then = netns->conntrack_max.known && max > entries ? max : entries;
	double now = (double)netns->conntrack_buckets.n, twice = 2 * (double)entries;
	char bytes[LP_FIGURE_TEXT];
	(void)subject;
	struct lp_remedy *remedy = lp_remedy_add(finding, "Give the table more buckets");
	lp_remedy_step(remedy, "sysctl -w net.netfilter.nf_conntrack_buckets=%llu%s",
	               (unsigned long long)then, where(netns));
	lp_remedy_change(remedy, "entries a chain", twice / now, twice / (double)then);
	lp_remedy_risk(remedy, LP_RISK_LOW, "They take %s, and packets wait while it is rebuilt.",
	               lp_text_bytes(then * BUCKET_SIZE, bytes));
	lp_remedy_relief(remedy, 1 / now, 1 / (double)then);
}

const struct lp_rule lp_rule_conntrack_hash_small = {
        .id = "conntrack-hash-small",
        .title = "conntrack's hash table is too small for its entries",
        .of = LP_RULE_OF_MACHINE,
        .kinds = {&lp_conntrack_entries},
        .needs = LP_NEED_BUCKETS | LP_NEED_ALL_TABLES,
        .test = test_hash,
        .tell = tell_hash,
        .advise = advise_hash,
};

/* ---- conntrack-outlives-time-wait ----------------------------------------------------------- */

/* Where entries that outlive their sockets are a fifth of a table that is nearly full. */
static enum lp_severity test_outlives(const struct lp_judging *judging,
                                      const struct lp_subject *subject)
{
	enum { PART = 5 };
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t timeout = netns->conntrack_time_wait_s.n;
	if (subject->limit->pressure < LP_NEAR || timeout <= LP_TIME_WAIT_S)
		return LP_FINE;
	uint64_t outlived = over(netns) * (timeout - LP_TIME_WAIT_S) / timeout;
	return outlived * PART >= subject->limit->used ? LP_WARNING : LP_FINE;
}

static void tell_outlives(const struct lp_judging *judging, const struct lp_subject *subject,
                          struct lp_finding *finding)
{
	const struct lp_netns *netns = lp_subject_netns(judging, subject);
	uint64_t timeout = netns->conntrack_time_wait_s.n;
	lp_finding_summary(finding,
	                   "conntrack remembers closed connections for %s s, their sockets go "
	                   "after %d s.",
	                   TEXT_COUNT(timeout), LP_TIME_WAIT_S);
	lp_finding_cause(finding, "nf_conntrack_tcp_timeout_time_wait is longer than TIME_WAIT "
	                          "itself, so the table holds connections that nobody has.");
	lp_finding_evidence(finding, "About %s of %s entries are such ones.",
	                    TEXT_COUNT(over(netns) * (timeout - LP_TIME_WAIT_S) / timeout),
	                    TEXT_COUNT(subject->limit->used));
}

static void advise_outlives(const struct lp_judging *judging, const struct lp_subject *subject,
                            struct lp_finding *finding)
{
	advise_shorter(lp_subject_netns(judging, subject), subject->limit, finding);
}

static bool explains_pressure(const struct lp_judging *judging, const struct lp_finding *cause,
                              const struct lp_finding *symptom)
{
	(void)judging;
	return cause->limit == symptom->limit && (symptom->rule == &lp_rule_conntrack_near ||
	                                          symptom->rule == &lp_rule_conntrack_full);
}

const struct lp_rule lp_rule_conntrack_outlives_time_wait = {
        .id = "conntrack-outlives-time-wait",
        .title = "conntrack keeps connections longer than their sockets",
        .of = LP_RULE_OF_LIMIT,
        .kinds = {&lp_conntrack_entries},
        .needs = LP_NEED_CONNTRACK_TIME,
        .symptom = true,
        .test = test_outlives,
        .tell = tell_outlives,
        .advise = advise_outlives,
        .explains = explains_pressure,
};
