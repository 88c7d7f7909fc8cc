/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What rules are made with. Inner header of src/finding. */

#include "finding/finding.h"

/* Pressure from which on a limit is near, as the views and `check` have it. */
enum { LP_NEAR = 8000, LP_NEARLY_FULL = 9500, LP_SOON_S = 60 };

/* What a rule can't do without. */
enum lp_need {
	LP_NEED_SOCKETS = 1 << 0,        /* the namespace's sockets were read */
	LP_NEED_RANGE = 1 << 1,          /* its ip_local_port_range */
	LP_NEED_REUSE = 1 << 2,          /* its tcp_tw_reuse and tcp_timestamps */
	LP_NEED_BUCKETS = 1 << 3,        /* nf_conntrack_buckets, if it tracks */
	LP_NEED_CONNTRACK_TIME = 1 << 4, /* nf_conntrack_tcp_timeout_time_wait, if it tracks */
	LP_NEED_CONFIGURATION = 1 << 5,  /* sysctl files of the machine */
	LP_NEED_COUNTERS = 1 << 6,       /* netstat's of the namespace */
	LP_NEED_LEDGER = 1 << 7,         /* the ledger is on and can be read */
	LP_NEED_ALL_TABLES = 1 << 8,     /* conntrack's entries of every namespace */
};

/* While the rules are judged. */
struct lp_judging {
	const struct lp_facts *facts;
};

/* Whether the namespace has what the rule needs; of the whole machine (LP_NO_NETNS): always. */
bool lp_rule_is_judgeable(const struct lp_judging *judging, const struct lp_rule *rule,
                          size_t netns);
/*
 * Says what is missing for a rule: of the machine, where *judgeable is false when there is nothing
 * to judge by at all; of namespaces, once for each thing with how many lack it. 0 or -ENOMEM.
 */
int lp_rule_machine_lacks(const struct lp_judging *judging, const struct lp_rule *rule,
                          struct lp_findings *findings, bool *judgeable);
int lp_rule_namespaces_lack(const struct lp_judging *judging, const struct lp_rule *rule,
                            struct lp_findings *findings);

/* What one rule looks at. */
struct lp_subject {
	size_t netns;                       /* or LP_NO_NETNS */
	size_t index;                       /* of the limit, or LP_NO_LIMIT */
	const struct lp_limit *limit;       /* or NULL */
	const struct lp_forecast *forecast; /* of the limit, or NULL */
};

/* The namespace of a subject that has one. */
const struct lp_netns *lp_subject_netns(const struct lp_judging *judging,
                                        const struct lp_subject *subject);
/* Of a finding: NULL where it is about none. */
const struct lp_limit *lp_finding_limit(const struct lp_judging *judging,
                                        const struct lp_finding *finding);

/* 80 % and more, or full within a minute. */
bool lp_subject_is_near(const struct lp_subject *subject);
/* Nothing left, or so little that it is gone within a minute at this rate. */
bool lp_subject_is_exhausted(const struct lp_subject *subject);

/* ---- writing -------------------------------------------------------------------------------- */

/*
 * Texts are taken as printf() makes them, and are UTF-8 whatever a program calls itself. What does
 * not fit into memory is left out, which lp_finding_is_torn() tells.
 */
void lp_finding_summary(struct lp_finding *finding, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void lp_finding_cause(struct lp_finding *finding, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void lp_finding_evidence(struct lp_finding *finding, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* A line more of any list of texts; texts->torn where it did not fit into memory. */
void lp_texts_add(struct lp_texts *texts, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void lp_texts_done(struct lp_texts *texts);

/* A remedy to be filled by those below; NULL when memory is short, which they take. */
struct lp_remedy *lp_remedy_add(struct lp_finding *finding, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void lp_remedy_step(struct lp_remedy *remedy, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* A step that sets "net.ipv4.tcp_tw_reuse=1" in the namespace, from the one that was asked in. */
void lp_remedy_sysctl(struct lp_remedy *remedy, const struct lp_netns *netns, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));
/* What it will change, in figures; `what` is static. */
void lp_remedy_change(struct lp_remedy *remedy, const char *what, double from, double to);
/* What it changes where there is no figure to tell. */
void lp_remedy_effect(struct lp_remedy *remedy, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void lp_remedy_risk(struct lp_remedy *remedy, enum lp_risk level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* By which part the pressure goes down: from used / capacity before to that after. */
void lp_remedy_relief(struct lp_remedy *remedy, double before, double after);

/* Moves those that `to` does not have yet. */
void lp_remedies_move(struct lp_finding *from, struct lp_finding *to);

/* Writes the effects out of the changes, and puts what helps most for least risk first. */
void lp_remedies_settle(struct lp_finding *finding);

void lp_finding_done(struct lp_finding *finding);
/* Whether a text or an array of it did not fit into memory. */
bool lp_finding_is_torn(const struct lp_finding *finding);

/* Figures inside a sentence: their text lives as long as the enclosing block. */
#define TEXT_COUNT(n)   lp_text_count((n), (char[LP_FIGURE_TEXT]){0})
#define TEXT_PERCENT(n) lp_text_percent((n), (char[LP_FIGURE_TEXT]){0})
#define TEXT_REAL(n)    lp_text_real((n), (char[LP_FIGURE_TEXT]){0})
#define TEXT_SPAN(n)    lp_text_span((n), (char[LP_FIGURE_TEXT]){0})
