/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport check: one line for monitoring, as its plugins have it: text, '|', figures. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"

enum verdict { OK, WARNING, CRITICAL, UNKNOWN, VERDICTS };

struct check_options {
	struct lastport_look_options look;
	uint32_t warn, critical; /* permyriad */
	const char *to;          /* "10.1.2.3:443", or NULL */
	bool has_need, has_rate;
	uint64_t need;
	double rate;
};

enum { MOST_NEEDED = 65535, SAMPLE_EXACT = 8000 };
enum key { KEY_TO = 256, KEY_NEED, KEY_RATE, KEY_READER, KEY_EXACT };

static const struct argp_option options[] = {
        {"warn", 'w', "PERCENT", 0, "warning from so much in use on (80%)", 0},
        {"critical", 'c', "PERCENT", 0, "critical from so much in use on (95%)", 0},
        {"kind", 'k', "KIND", 0, "only this kind of limit: local-ports", 0},
        {"netns", 'n', "NETNS", 0,
         "only this network namespace: its name under /run/netns, its inode, 'host', 'self', or "
         "'all' (the default)",
         0},
        {"to", KEY_TO, "ADDR:PORT", 0,
         "only the local ports for connections to there: 10.1.2.3:443, [::1]:80", 0},
        {"need", KEY_NEED, "N", 0, "with --to: critical where fewer than N are left", 0},
        {"rate", KEY_RATE, "R", 0,
         "with --to: critical where R new connections a second can't last", 0},
        {"reader", KEY_READER, "READER", 0,
         "how to read sockets: 'diag', 'bpf' or 'auto' (the default)", 0},
        {"exact", KEY_EXACT, NULL, 0,
         "count all sockets, also where there are so many that a sample would do", 0},
        {0},
};

static void check_together(const struct argp_state *state, const struct check_options *o)
{
	if (o->warn > o->critical)
		usage_error(state, "warn is above critical: it would never be reached");
	if (o->has_need && !o->to)
		usage_error(state, "--need is about one destination: give --to ADDR:PORT too");
	if (o->has_rate && !o->to)
		usage_error(state, "--rate is about one destination: give --to ADDR:PORT too");
	if (o->to && o->look.kind && strcmp(o->look.kind, "local-ports") != 0)
		usage_error(state, "--to is about local-ports: it does not go with --kind %s",
		            o->look.kind);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct check_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		return 0;
	case 'w':
		o->warn = option_percent(state, "warn", arg);
		return 0;
	case 'c':
		o->critical = option_percent(state, "critical", arg);
		return 0;
	case 'k':
		o->look.kind = option_kind(state, arg);
		return 0;
	case 'n':
		o->look.netns = arg;
		return 0;
	case KEY_TO:
		o->to = option_destination(state, arg);
		return 0;
	case KEY_NEED:
		o->has_need = true;
		o->need = option_count(state, "need", arg, 1, MOST_NEEDED);
		return 0;
	case KEY_RATE:
		o->has_rate = true;
		o->rate = option_real(state, "rate", arg, "/s", 0, 1e6);
		return 0;
	case KEY_READER:
		o->look.reader = option_reader(state, arg);
		return 0;
	case KEY_EXACT:
		o->look.exact = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "'%s' is one too many: check takes options only", arg);
	case ARGP_KEY_END:
		check_together(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the line ------------------------------------------------------------------------------ */

/* The line as it grows, its figures apart; what is longer is cut. */
struct line {
	char text[1024], figures[1024];
};

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t size, const char *format,
                                                      ...)
{
	size_t length = strlen(text);
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text + length, size - length, format, args);
	va_end(args);
}
#define say_text(line, ...)    say((line)->text, sizeof((line)->text), __VA_ARGS__)
#define say_figures(line, ...) say((line)->figures, sizeof((line)->figures), __VA_ARGS__)

/* One line whatever others chose for names; '|' would begin the figures. */
static int print_line(enum verdict verdict, struct line *line)
{
	static const char *const names[VERDICTS] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	lp_text_clean(line->text, output_unicode());
	for (char *bar = line->text; (bar = strchr(bar, '|'));)
		*bar = '/';
	bool figures = line->figures[0];
	(void)printf("LASTPORT %s - %s%s%s\n", names[verdict], line->text, figures ? " |" : "",
	             line->figures);
	errno = 0;
	int r = fflush(stdout) == 0 ? 0 : lp_errno();
	int status = write_status(r);
	return status ? status : (int)verdict;
}

/* "10.0.0.5 → 10.1.2.3:443 in blue", with an arrow that the locale can write. */
static void say_where(struct line *line, const struct lastport_report *report, size_t index,
                      const struct lastport_limit *limit)
{
	char where[256] = "";
	static const char arrow[] = "→";
	(void)lastport_report_where(report, index, where, sizeof(where));
	char *at = output_unicode() ? NULL : strstr(where, arrow);
	if (at)
		say_text(line, " %.*s->%s", (int)(at - where), where, at + strlen(arrow));
	else if (*where)
		say_text(line, " %s", where);
	if (limit->netns_name && strcmp(limit->netns_name, "host") != 0)
		say_text(line, " in %s", limit->netns_name);
	else if (limit->known & LASTPORT_KNOWN_NETNS && !limit->netns_name)
		say_text(line, " in namespace %" PRIu64, limit->netns);
}

/* ", by nginx (812)": who has most of them, if one has most. */
static void say_owner(struct line *line, const struct lastport_report *report, size_t index)
{
	struct lastport_owner first = LASTPORT_OWNER_INIT, owner = LASTPORT_OWNER_INIT;
	size_t n = lastport_report_owners(report, index);
	uint64_t all = 0;
	for (size_t i = 0; i < n; i++)
		if (lastport_report_owner(report, index, i, &owner) == 0)
			all += owner.connections;
	if (n && lastport_report_owner(report, index, 0, &first) == 0 &&
	    first.connections * 2 > all && *first.command)
		say_text(line, ", by %s (%" PRIu32 ")", first.command, first.pid);
}

/* "local-ports 10.0.0.5 → 10.1.2.3:443: 99.8 % used, 42 of 28,232 left, full in 38 s" */
static void say_limit(struct line *line, const struct check_options *o,
                      const struct lastport_report *report, size_t index,
                      const struct lastport_limit *limit)
{
	char percent[LP_FIGURE_TEXT], left[LP_FIGURE_TEXT], capacity[LP_FIGURE_TEXT];
	say_text(line, "%s", limit->kind);
	say_where(line, report, index, limit);
	say_text(line, ": %s used, %s of %s left", lp_text_percent(limit->pressure, percent),
	         lp_text_count(limit->headroom, left), lp_text_count(limit->capacity, capacity));
	if (limit->headroom && limit->known & LASTPORT_KNOWN_EXHAUSTED &&
	    isfinite(limit->exhausted_in_s)) {
		char span[LP_FIGURE_TEXT];
		say_text(line, ", full in %s", lp_text_span(limit->exhausted_in_s, span));
	}
	if (limit->pressure >= o->warn)
		say_owner(line, report, index);
}

/* 'local-ports'=99.85%;80;95;0;100 */
static void say_pressure(struct line *line, const struct check_options *o,
                         const struct lastport_limit *limit)
{
	say_figures(line, " %s=%.2f%%;%g;%g;0;100", limit->kind, limit->pressure / 100.0,
	            o->warn / 100.0, o->critical / 100.0);
}

static enum verdict judge(const struct check_options *o, const struct lastport_limit *limit)
{
	if (limit->pressure >= o->critical)
		return CRITICAL;
	return limit->pressure >= o->warn ? WARNING : OK;
}

/* ---- everything ---------------------------------------------------------------------------- */

/* The fullest of each kind: limits come sorted, so the first of a kind is it. */
static void say_kinds(struct line *line, const struct check_options *o,
                      const struct lastport_report *report)
{
	bool said[32] = {0};
	size_t n = lastport_report_limits(report);
	for (size_t i = 0; i < n; i++) {
		struct lastport_limit limit = LASTPORT_LIMIT_INIT;
		size_t kind = 0;
		if (lastport_report_limit(report, i, &limit) < 0)
			return;
		while (lastport_kind_name(kind) &&
		       strcmp(lastport_kind_name(kind), limit.kind) != 0)
			kind++;
		if (kind < sizeof(said) / sizeof(said[0]) && !said[kind]) {
			said[kind] = true;
			say_pressure(line, o, &limit);
		}
	}
}

static enum verdict check_all(const struct check_options *o, const struct lastport_report *report,
                              struct line *line)
{
	size_t counts[VERDICTS] = {0};
	size_t n = lastport_report_limits(report);
	enum verdict worst = OK;
	for (size_t i = 0; i < n; i++) {
		struct lastport_limit limit = LASTPORT_LIMIT_INIT;
		if (lastport_report_limit(report, i, &limit) < 0)
			return UNKNOWN;
		enum verdict verdict = judge(o, &limit);
		counts[verdict]++;
		if (i == 0) {
			worst = verdict;
			say_limit(line, o, report, i, &limit);
		}
	}
	if (n == 0) {
		say_text(line, "no limit could be read");
		return UNKNOWN;
	}
	if (counts[CRITICAL] + counts[WARNING] > 1)
		say_text(line, " (%zu critical, %zu warning)", counts[CRITICAL], counts[WARNING]);
	say_kinds(line, o, report);
	return worst;
}

/* ---- one destination ----------------------------------------------------------------------- */

/* What a connect() to there needs: local ports of its pool, and these beside. */
enum { LOCAL_PORTS, CONNTRACK, DESCRIPTORS, NEEDED };
static const char *const needed_kinds[NEEDED] = {[LOCAL_PORTS] = "local-ports",
                                                 [CONNTRACK] = "conntrack-entries",
                                                 [DESCRIPTORS] = "file-descriptors"};

static enum verdict worse(enum verdict a, enum verdict b)
{
	static const int rank[VERDICTS] = {[OK] = 0, [UNKNOWN] = 1, [WARNING] = 2, [CRITICAL] = 3};
	return rank[a] > rank[b] ? a : b;
}

/* Too few are left: says of which limit. */
static enum verdict lacks(const struct check_options *o, const struct lastport_limit *limit,
                          struct line *line)
{
	char need[LP_FIGURE_TEXT], left[LP_FIGURE_TEXT];
	if (!o->has_need || limit->headroom >= o->need)
		return OK;
	if (limit->known & LASTPORT_KNOWN_LIVE) /* the line is about it */
		say_text(line, ", %s needed", lp_text_count(o->need, need));
	else
		say_text(line, ", %s needed but %s has %s left", lp_text_count(o->need, need),
		         limit->kind, lp_text_count(limit->headroom, left));
	return CRITICAL;
}

static enum verdict check_need(const struct check_options *o, const struct lastport_limit *limit,
                               struct line *line)
{
	say_figures(line, " left=%" PRIu64 ";;", limit->headroom);
	if (o->has_need)
		say_figures(line, "%" PRIu64 ":", o->need);
	say_figures(line, ";0;%" PRIu64, limit->capacity);
	return lacks(o, limit, line);
}

/* What can last beside the connections that are open there now: they keep their ports. */
static double lasting(const struct lastport_limit *limit)
{
	if (!(limit->known & LASTPORT_KNOWN_LIVE) || !limit->capacity)
		return limit->sustainable;
	uint64_t live = limit->live < limit->capacity ? limit->live : limit->capacity;
	return limit->sustainable * (double)(limit->capacity - live) / (double)limit->capacity;
}

static enum verdict check_rate(const struct check_options *o, const struct lastport_limit *limit,
                               struct line *line)
{
	bool known = limit->known & LASTPORT_KNOWN_SUSTAINABLE;
	double most = lasting(limit);
	if (known)
		say_figures(line, " sustainable=%.*f;;", most < 1 ? 3 : 1, most);
	if (known && o->has_rate)
		say_figures(line, "%g:", o->rate);
	if (!o->has_rate)
		return OK;
	if (!known) {
		say_text(line, ", and what rate can last is not known");
		return UNKNOWN;
	}
	if (most >= o->rate)
		return OK;
	char rate[LP_FIGURE_TEXT], text[LP_FIGURE_TEXT];
	say_text(line, ", %s/s needed but %s/s can last", lp_text_rate(o->rate, rate),
	         lp_text_rate(most, text));
	return CRITICAL;
}

/* Whether it is one that all connections of the pool's namespace draw from. */
static bool is_beside(const struct lastport_report *report, size_t index,
                      const struct lastport_limit *pool, const struct lastport_limit *limit)
{
	char where[256] = "";
	(void)lastport_report_where(report, index, where, sizeof(where));
	if (!strcmp(limit->kind, needed_kinds[CONNTRACK]))
		return limit->used > 0 &&
		       limit->netns == pool->netns; /* unused: nothing is tracked */
	return !strcmp(limit->kind, needed_kinds[DESCRIPTORS]) && !*where; /* of the machine */
}

/* Tables of the namespace and the machine in which each connection takes a place. */
static enum verdict check_beside(const struct check_options *o,
                                 const struct lastport_report *report,
                                 const struct lastport_limit *pool, struct line *line)
{
	enum verdict verdict = OK;
	size_t n = lastport_report_limits(report);
	for (size_t i = 0; i < n; i++) {
		struct lastport_limit limit = LASTPORT_LIMIT_INIT;
		if (lastport_report_limit(report, i, &limit) < 0 ||
		    !is_beside(report, i, pool, &limit))
			continue;
		say_figures(line, " %s_left=%" PRIu64, limit.kind, limit.headroom);
		verdict = worse(verdict, lacks(o, &limit, line));
	}
	return verdict;
}

static enum verdict check_destination(const struct check_options *o,
                                      const struct lastport_report *report, struct line *line)
{
	struct lastport_limit limit = LASTPORT_LIMIT_INIT;
	size_t index;
	if (lastport_report_find_destination(report, o->to, &index) < 0 ||
	    lastport_report_limit(report, index, &limit) < 0) {
		say_text(line, "the local ports for %s could not be read", o->to);
		return UNKNOWN;
	}
	say_text(line, "to %s: ", o->to);
	say_limit(line, o, report, index, &limit);
	say_pressure(line, o, &limit);
	enum verdict verdict = judge(o, &limit);
	verdict = worse(verdict, check_need(o, &limit, line));
	verdict = worse(verdict, check_rate(o, &limit, line));
	return worse(verdict, check_beside(o, report, &limit, line));
}

/* ---- what was not seen --------------------------------------------------------------------- */

/* Whether it takes a figure from any limit. */
static bool concerns_any(const struct lastport_report *report, size_t gap)
{
	const char *kind;
	for (size_t i = 0; (kind = lastport_kind_name(i)); i++)
		if (lastport_report_gap_concerns(report, gap, kind))
			return true;
	return false;
}

/* A destination needs no more than its own limits; descriptors are left to what could be read. */
static bool matters(const struct check_options *o, const struct lastport_report *report, size_t gap)
{
	if (!o->to)
		return concerns_any(report, gap);
	return lastport_report_gap_concerns(report, gap, needed_kinds[LOCAL_PORTS]) ||
	       (o->has_need && lastport_report_gap_concerns(report, gap, needed_kinds[CONNTRACK]));
}

/* That all is well can't be said where not all was seen; what was seen to be wrong is wrong. */
static enum verdict consider_gaps(const struct check_options *o, enum verdict verdict,
                                  const struct lastport_report *report, struct line *line)
{
	size_t n = 0, all = lastport_report_gaps(report);
	for (size_t i = 0; i < all; i++)
		if (matters(o, report, i) && n++ == 0)
			say_text(line, "; not all was seen: %s", lastport_report_gap(report, i));
	if (n == 0)
		return verdict;
	if (n > 1)
		say_text(line, " (and %zu more)", n - 1);
	return verdict == OK ? UNKNOWN : verdict;
}

/* A sample is exact from SAMPLE_EXACT on, and knows nothing of small pools and SYN queues. */
static bool needs_all(const struct check_options *o)
{
	const char *kind = o->look.kind;
	return o->to || o->warn < SAMPLE_EXACT || !kind || !strcmp(kind, "syn-queue");
}

int check_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .doc = "One line for monitoring, with figures behind a '|'.\vExit status: 0 ok, 1 "
	               "warning, 2 critical, 3 unknown: nothing could be read, or all seems well "
	               "but not all that was asked for could be seen; 64 an option is wrong; 74 "
	               "the line can't be written.",
	};
	struct check_options o = {
	        .look = LASTPORT_LOOK_OPTIONS_INIT, .warn = 8000, .critical = 9500};
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	if (o.to && !o.has_need)
		o.look.kind = needed_kinds[LOCAL_PORTS];
	o.look.exact |= needs_all(&o);
	struct lastport_report *report = NULL;
	struct line line = {0};
	int r = lastport_look(&o.look, &report, line.text, sizeof(line.text));
	if (r < 0 && look_status(r) == EX_USAGE)
		return complain(EX_USAGE, "%s", line.text);
	enum verdict verdict = UNKNOWN;
	if (r == 0) {
		verdict = (o.to ? check_destination : check_all)(&o, report, &line);
		verdict = consider_gaps(&o, verdict, report, &line);
	}
	lastport_report_free(report);
	return print_line(verdict, &line);
}
