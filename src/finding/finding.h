/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A finding says in plain words what is wrong on this machine now, why, how that is known, and what
 * to do about it with the effect worked out from the machine's own figures. Rules make findings out
 * of a snapshot, its limits and their forecasts; nothing here asks the system. Ids stay put.
 */

#include "base/text.h"
#include "forecast/forecast.h"

enum lp_severity {
	LP_FINE = 0,
	LP_NOTICE,   /* worth knowing; nothing fails by it */
	LP_WARNING,  /* near, or it costs something already */
	LP_CRITICAL, /* something is refused, or will be within a minute */
};
/* "notice", "warning", "critical". */
const char *lp_severity_name(enum lp_severity severity);

/* Lines of text, owned. */
struct lp_texts {
	char **items;
	size_t n, room;
	bool torn; /* memory was short for one */
};

/* A figure that a remedy changes. */
struct lp_change {
	const char *what; /* static: "opens/s", "TIME_WAIT", "ports" … */
	double from, to;
};

enum lp_risk {
	LP_RISK_NONE, /* nothing to lose */
	LP_RISK_LOW,  /* something to mind */
	LP_RISK_REAL, /* may do harm elsewhere: only with care */
};

enum { LP_CHANGES = 4 };

struct lp_remedy {
	char *title;
	struct lp_texts steps;
	struct lp_change changes[LP_CHANGES]; /* the prediction in figures */
	size_t n_changes;
	char *effect; /* the same as a sentence: "opens/s 470 → 4.7, TIME_WAIT 28,190 → 282" */
	char *risk;   /* what it may cost, one sentence */
	enum lp_risk risk_level;
	uint32_t relief; /* by which part the pressure goes down, permyriad */
};

struct lp_rule;

/* A finding that is about no limit of the list. */
#define LP_NO_LIMIT SIZE_MAX

struct lp_finding {
	const struct lp_rule *rule;
	enum lp_severity severity;
	size_t limit;  /* index into the limits, or LP_NO_LIMIT */
	size_t netns;  /* index into snapshot->netns, or LP_NO_NETNS */
	char *summary; /* what is wrong, one sentence */
	char *cause;   /* why, one sentence */
	struct lp_texts evidence;
	struct lp_remedy *remedies; /* what helps most for least risk first */
	size_t n_remedies, room_remedies;
	/* symptoms of this one: each would stand for itself if this one were not there */
	struct lp_finding *explains;
	size_t n_explains, room_explains;
	bool torn; /* memory was short for a remedy */
};

/* A rule that could not be judged, and why. */
struct lp_not_judged {
	const struct lp_rule *rule;
	char *why;
};

struct lp_findings {
	struct lp_finding *items; /* worst first */
	size_t n, room;
	size_t left_out; /* alike, beyond LP_FINDINGS_A_RULE of one rule */
	struct lp_not_judged *not_judged;
	size_t n_not_judged, room_not_judged;
};
enum { LP_FINDINGS_A_RULE = 16 };

/* What is judged. Borrowed. */
struct lp_facts {
	const struct lp_snapshot *snapshot;
	const struct lp_limits *limits;
	const struct lp_forecast *forecasts; /* one a limit */
};

/*
 * Judges every rule; with `only`, those about that kind of limit. 0 or -ENOMEM. *ret is to be ended
 * with lp_findings_done() in any case.
 */
int lp_findings_judge(const struct lp_facts *facts, const struct lp_limit_kind *only,
                      struct lp_findings *ret);
void lp_findings_done(struct lp_findings *findings);

/* ---- the rules, for lists and for explaining ------------------------------------------------- */

/* What a rule looks at, one after the other. */
enum lp_rule_of {
	LP_RULE_OF_LIMIT,   /* every limit of its kinds */
	LP_RULE_OF_NETNS,   /* every namespace */
	LP_RULE_OF_MACHINE, /* the machine, once */
};

struct lp_judging;
struct lp_subject;

enum { LP_RULE_KINDS = 3 };

struct lp_rule {
	const char *id;    /* "local-ports-exhausted": fixed, as in JSON */
	const char *title; /* what it finds, a phrase for lists */
	enum lp_rule_of of;
	/* the kinds of limits that it looks at, and others that suffer; NULL after the last */
	const struct lp_limit_kind *kinds[LP_RULE_KINDS];
	unsigned needs; /* bits of enum lp_need (rule.h): without them it can't be judged */
	bool once;      /* one finding a namespace is enough, however many limits tell it */
	bool symptom;   /* says how bad it is, and not why: a cause may stand above it */
	/* How bad it is. Not called where something that it needs is missing. */
	enum lp_severity (*test)(const struct lp_judging *judging,
	                         const struct lp_subject *subject);
	/* Summary, cause and evidence of what was found. */
	void (*tell)(const struct lp_judging *judging, const struct lp_subject *subject,
	             struct lp_finding *finding);
	/* What to do, in any order. NULL: there is nothing to do. */
	void (*advise)(const struct lp_judging *judging, const struct lp_subject *subject,
	               struct lp_finding *finding);
	/* Whether a finding of this rule is the cause of that other one. NULL: of none. */
	bool (*explains)(const struct lp_judging *judging, const struct lp_finding *cause,
	                 const struct lp_finding *symptom);
};

/* NULL-terminated. */
extern const struct lp_rule *const lp_rules[];
const struct lp_rule *lp_rule_find(const char *id);
bool lp_rule_is_about(const struct lp_rule *rule, const struct lp_limit_kind *kind);
