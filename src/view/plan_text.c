/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plan for people: the wishes, a row a limit, what it comes to, and what to change. */

#include "view/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "view/style.h"

enum { BODY = 2, DEEP = 4 };

/* Figures inside a sentence: their text lives as long as the enclosing block. */
#define COUNT(n) lp_text_count((n), (char[LP_FIGURE_TEXT]){0})
#define WHOLE(n) COUNT((uint64_t)ceil((n)-1e-6))
#define BYTES(n) lp_text_bytes((uint64_t)(n), (char[LP_FIGURE_TEXT]){0})
#define SPAN(n)  span_text((n), (char[LP_FIGURE_TEXT]){0})
#define RATE(n)  rate_text((n), (char[LP_FIGURE_TEXT]){0})

/* "2 s", "62.1 s", "50 ms". */
static const char *span_text(double seconds, char buf[LP_FIGURE_TEXT])
{
	enum { MINUTES = 1000 };
	char number[LP_FIGURE_TEXT];
	if (seconds >= MINUTES)
		return lp_text_span(seconds, buf);
	bool small = seconds > 0 && seconds < 1;
	double n = small ? seconds * 1000 : seconds;
	lp_text_real(n, number);
	bool whole = n == floor(n);
	if (whole)
		lp_text_count((uint64_t)n, number);
	(void)snprintf(buf, LP_FIGURE_TEXT, "%.24s %s", number, small ? "ms" : "s");
	return buf;
}

/* "470.5", "2,000": no decimal where it says nothing; rounded down, because it is a promise. */
static const char *rate_text(double n, char buf[LP_FIGURE_TEXT])
{
	enum { ENOUGH = 10000 };
	const double places = n < 1 ? 1000 : 10;
	if (n >= 1e18)
		(void)snprintf(buf, LP_FIGURE_TEXT, "any");
	else if (n == floor(n) || n >= ENOUGH)
		lp_text_count((uint64_t)n, buf);
	else
		lp_text_rate(n < 0.001 ? n : floor(n * places + 1e-6) / places, buf);
	return buf;
}

/* ---- the wishes --------------------------------------------------------------------------------
 */

static int put_wishes(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	static const char *const roles[] = {[LP_PLAN_CLIENT] = "opened here",
	                                    [LP_PLAN_SERVER] = "accepted here",
	                                    [LP_PLAN_ROUTER] = "translated here"};
	static const char *const closers[] = {[LP_CLOSER_CLIENT] = "the client closes first",
	                                      [LP_CLOSER_SERVER] = "the server closes first",
	                                      [LP_CLOSER_BOTH] = "both close at once"};
	const struct lp_plan_wishes *w = &plan->wishes;
	char rate[128] = "As many connections as can be", requests[64] = "", via[64] = "";
	if (w->rate.known && w->requests > 1)
		(void)snprintf(rate, sizeof(rate), "%s requests/s in %s connections/s",
		               RATE(w->rate.n), RATE(plan->opens));
	else if (w->rate.known)
		(void)snprintf(rate, sizeof(rate), "%s connections/s", RATE(plan->opens));
	if (w->requests > 1)
		(void)snprintf(requests, sizeof(requests), ", %s requests on each",
		               RATE(w->requests));
	if (w->role == LP_PLAN_ROUTER)
		(void)snprintf(via, sizeof(via), " as %s address%s", COUNT(w->translated),
		               w->translated == 1 ? "" : "es");
	return lp_style_say(style, out, 0, BODY,
	                    "%s, %s, each open for %s%s; %s source%s%s, %s destination%s; %s.",
	                    rate, roles[w->role], SPAN(w->hold_s), requests, COUNT(w->sources),
	                    lp_text_plural(w->sources), via, COUNT(w->destinations),
	                    lp_text_plural(w->destinations), closers[w->closer]);
}

/* ---- a row a limit -----------------------------------------------------------------------------
 */

static const char *const labels[LP_PLAN_LIMITS] = {
        [LP_PLAN_LOCAL_PORTS] = "local ports",
        [LP_PLAN_BIND_PORTS] = "bind ports",
        [LP_PLAN_CLIENT_PORTS] = "client ports",
        [LP_PLAN_SNAT_PORTS] = "SNAT ports",
        [LP_PLAN_DESCRIPTORS] = "descriptors of a process",
        [LP_PLAN_FILES] = "descriptors of the machine",
        [LP_PLAN_CONNTRACK] = "conntrack entries",
        [LP_PLAN_ACCEPT_QUEUE] = "accept queue",
        [LP_PLAN_TIME_WAIT] = "TIME_WAIT buckets",
};

static void row_label(const struct lp_plan *plan, enum lp_plan_limit limit, char *buf, size_t size)
{
	uint64_t pools = plan->needs[limit].pools;
	if (pools == 1)
		(void)snprintf(buf, size, "%s", labels[limit]);
	else
		(void)snprintf(buf, size, "%s, each of %s", labels[limit], COUNT(pools));
}

/* file-max is LONG_MAX where systemd set it. */
static const char *amount_text(uint64_t n, char buf[LP_FIGURE_TEXT])
{
	enum { UNLIMITED_BITS = 58 };
	if (n >> UNLIMITED_BITS)
		(void)snprintf(buf, LP_FIGURE_TEXT, "unlimited");
	else
		lp_text_count(n, buf);
	return buf;
}

static int put_row(const struct lp_style *style, FILE *out, const struct lp_plan *plan,
                   enum lp_plan_limit limit)
{
	const struct lp_plan_need *need = &plan->needs[limit];
	bool harmless = limit == LP_PLAN_TIME_WAIT;
	enum lp_concern concern = need->carries ? LP_CONCERN_NONE
	                          : harmless    ? LP_CONCERN_HIGH
	                                        : LP_CONCERN_SEVERE;
	char label[64], needed[LP_FIGURE_TEXT], has[LP_FIGURE_TEXT], highest[LP_FIGURE_TEXT + 8];
	row_label(plan, limit, label, sizeof(label));
	(void)snprintf(needed, sizeof(needed), "%s",
	               plan->wishes.rate.known || limit == LP_PLAN_ACCEPT_QUEUE
	                       ? COUNT(need->needed)
	                       : style->unknown);
	if (isfinite(need->highest))
		(void)snprintf(highest, sizeof(highest), "%s/s", RATE(need->highest));
	else
		(void)snprintf(highest, sizeof(highest), "%s", style->unknown);
	/* "–" is three bytes in one column */
	int more_needed = (int)(strlen(needed) - lp_text_width(needed));
	int more_highest = (int)(strlen(highest) - lp_text_width(highest));
	const char *colour = lp_style_colour(style, concern);
	return lp_put(out, "%s%-32s %*s %*s %*s%s%s\n", colour, label, 11 + more_needed, needed, 11,
	              amount_text(need->has, has), 12 + more_highest, highest,
	              need->carries ? ""
	              : harmless    ? "  cut short"
	                            : "  too few",
	              *colour ? lp_style_reset(style) : "");
}

static int put_rows(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	int r = lp_put(out, "\n%s%-32s %11s %11s %12s%s\n", lp_style_bold(style), "LIMIT", "NEEDED",
	               "FREE", "AT MOST", lp_style_reset(style));
	for (int i = 0; i < LP_PLAN_LIMITS && r == 0; i++)
		if (plan->needs[i].judged)
			r = put_row(style, out, plan, (enum lp_plan_limit)i);
	return r;
}

/* ---- what it comes to --------------------------------------------------------------------------
 */

/* What happens first as the rate rises. */
static const char *const ends[LP_PLAN_LIMITS] = {
        [LP_PLAN_LOCAL_PORTS] = "local ports run out",
        [LP_PLAN_BIND_PORTS] = "ports for bind() run out",
        [LP_PLAN_CLIENT_PORTS] = "a client's ports run out",
        [LP_PLAN_SNAT_PORTS] = "SNAT begins to refuse",
        [LP_PLAN_DESCRIPTORS] = "the process runs out of descriptors",
        [LP_PLAN_FILES] = "the machine runs out of descriptors",
        [LP_PLAN_CONNTRACK] = "the conntrack table is full",
        [LP_PLAN_ACCEPT_QUEUE] = "the accept queue overflows",
};

static int put_verdict(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	const struct lp_plan_wishes *w = &plan->wishes;
	char most[160] = "", after[64] = "";
	if (isfinite(plan->highest) && w->requests > 1)
		(void)snprintf(most, sizeof(most), "At most %s connections/s (%s requests/s)",
		               RATE(plan->highest), RATE(plan->highest * w->requests));
	else if (isfinite(plan->highest))
		(void)snprintf(most, sizeof(most), "At most %s connections/s", RATE(plan->highest));
	if (isfinite(plan->full_in_s))
		(void)snprintf(after, sizeof(after), ", %s after the start",
		               SPAN(floor(plan->full_in_s * 10) / 10));
	if (plan->unknown)
		return lp_style_say(style, out, 0, BODY,
		                    "Whether it carries can't be said: the port range is not "
		                    "known.%s%s%s",
		                    *most ? " Without it: a" : "", *most ? most + 1 : "",
		                    *most ? "." : "");
	if (plan->first == LP_PLAN_LIMITS)
		return lp_style_say(style, out, 0, BODY,
		                    "No limit that was looked at bounds the rate.");
	if (!plan->carries)
		return lp_style_say(style, out, 0, BODY, "It does not carry: %s first%s.%s%s%s",
		                    ends[plan->first], after, *most ? " " : "", most,
		                    *most ? " are carried." : "");
	if (w->rate.known)
		return lp_style_say(style, out, 0, BODY, "It carries. %s would be: then %s.", most,
		                    ends[plan->first]);
	return lp_style_say(style, out, 0, BODY, "%s are carried now: then %s.", most,
	                    ends[plan->first]);
}

static int put_steady(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	char entries[64] = "", time_wait[64] = "";
	if (!isfinite(plan->opens))
		return 0;
	if (plan->time_wait > 0)
		(void)snprintf(time_wait, sizeof(time_wait), ", %s TIME_WAIT",
		               WHOLE(plan->time_wait));
	if (plan->entries > 0)
		(void)snprintf(entries, sizeof(entries), ", %s conntrack entries",
		               WHOLE(plan->entries));
	return lp_style_say(style, out, 0, BODY,
	                    "At %s connections/s: %s open at a time%s%s; %s of kernel memory.",
	                    RATE(plan->opens), WHOLE(plan->live), time_wait, entries,
	                    BYTES(plan->memory));
}

static int put_warnings(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	int r = 0;
	double most = fmin(plan->opens, plan->highest);
	if (plan->search_us > 0)
		r = lp_style_say(
		        style, out, 0, BODY,
		        "More than half the ports of a pool will be in use: each connect() "
		        "then searches for about %.1f ms, which is %.1f CPUs at %s/s.",
		        plan->search_us / 1000, most * plan->search_us / 1e6, RATE(most));
	if (r == 0 && plan->cut_short)
		r = lp_style_say(style, out, 0, BODY,
		                 "TIME_WAIT will be cut short at tcp_max_tw_buckets: nothing fails "
		                 "by it, but what protects new connections from old segments is "
		                 "gone.");
	if (r == 0 && !plan->unknown && lp_plan_lacks_ports(&plan->wishes, &plan->machine))
		r = lp_style_say(style, out, 0, BODY, "The port range is not known: not judged.");
	return r;
}

/* ---- what to change ----------------------------------------------------------------------------
 */

static int put_range(const struct lp_style *style, FILE *out, const struct lp_plan *plan,
                     const struct lp_plan_change *change)
{
	uint32_t low, high;
	if (!lp_plan_range_for(&plan->machine, change->to, &low, &high))
		return lp_style_say(style, out, BODY, DEEP,
		                    "A range of %s ports instead of %s (ip_local_port_range).",
		                    COUNT(change->to), COUNT(change->from));
	return lp_style_say(style, out, BODY, DEEP,
	                    "net.ipv4.ip_local_port_range = %u %u: %s ports instead of %s. Put "
	                    "what listens in it into ip_local_reserved_ports first.",
	                    low, high, COUNT(change->to), COUNT(change->from));
}

/* As many as the connections: what else the program has open comes to it. */
static int put_descriptors(const struct lp_style *style, FILE *out, const struct lp_plan *plan,
                           const struct lp_plan_change *change)
{
	const struct lp_figure *most = &plan->machine.nr_open;
	char first[128] = "";
	if (most->known && most->n <= change->to)
		(void)snprintf(first, sizeof(first), " First raise fs.nr_open, which allows %s.",
		               COUNT(most->n));
	return lp_style_say(style, out, BODY, DEEP,
	                    "RLIMIT_NOFILE %s instead of %s (ulimit -n, LimitNOFILE=), and what "
	                    "else the program has open.%s",
	                    COUNT(change->to), COUNT(change->from), first);
}

static int put_change(const struct lp_style *style, FILE *out, const struct lp_plan *plan,
                      const struct lp_plan_change *change)
{
	static const char *const formats[LP_KNOBS] = {
	        [LP_KNOB_REQUESTS] = "Keep-alive: %s requests on each connection instead of %s.",
	        [LP_KNOB_DESTINATIONS] = "%s destinations instead of %s: addresses or ports of the "
	                                 "servers.",
	        [LP_KNOB_SOURCES] = "%s source addresses instead of %s.",
	        [LP_KNOB_TRANSLATED] = "%s addresses to translate to instead of %s.",
	        [LP_KNOB_FILES] = "fs.file-max = %s instead of %s.",
	        [LP_KNOB_CONNTRACK_TIMEOUT] =
	                "net.netfilter.nf_conntrack_tcp_timeout_time_wait = %s instead of %s.",
	        [LP_KNOB_CONNTRACK_MAX] = "net.netfilter.nf_conntrack_max = %s instead of %s, and "
	                                  "nf_conntrack_buckets as many.",
	        [LP_KNOB_BACKLOG] = "net.core.somaxconn = %s instead of %s, and listen() with as "
	                            "large a backlog.",
	        [LP_KNOB_BUCKETS] = "net.ipv4.tcp_max_tw_buckets = %s instead of %s.",
	};
	switch (change->knob) {
	case LP_KNOB_NO_BIND:
		return lp_style_say(style, out, BODY, DEEP,
		                    "No bind() before connect(), or IP_BIND_ADDRESS_NO_PORT: ports "
		                    "are then counted for each destination.");
	case LP_KNOB_RANGE:
		return put_range(style, out, plan, change);
	case LP_KNOB_DESCRIPTORS:
		return put_descriptors(style, out, plan, change);
	case LP_KNOB_REUSE:
		return lp_style_say(style, out, BODY, DEEP,
		                    "net.ipv4.tcp_tw_reuse = 1, with timestamps on at both ends: "
		                    "up to %s connections/s.",
		                    RATE(change->highest));
	default:
		return lp_style_say(style, out, BODY, DEEP, formats[change->knob],
		                    COUNT(change->to), COUNT(change->from));
	}
}

/* The heading of a limit's changes. */
static int put_limit(const struct lp_style *style, FILE *out, const struct lp_plan *plan,
                     enum lp_plan_limit limit)
{
	size_t n = 0;
	for (size_t i = 0; i < plan->n_changes; i++)
		n += plan->changes[i].limit == limit;
	return lp_style_say(style, out, 0, BODY, "For %s the smallest change%s:", labels[limit],
	                    n > 1 ? ", any one of" : "");
}

/* A limit that no single change mends has none in the list. */
static int put_hopeless(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	int r = 0;
	for (int i = 0; i < LP_PLAN_LIMITS && r == 0; i++) {
		bool any = plan->needs[i].carries;
		for (size_t k = 0; k < plan->n_changes; k++)
			any |= plan->changes[k].limit == (enum lp_plan_limit)i;
		if (!any)
			r = lp_style_say(style, out, 0, BODY, "For %s no single change is enough.",
			                 labels[i]);
	}
	return r;
}

static int put_changes(const struct lp_style *style, FILE *out, const struct lp_plan *plan)
{
	enum lp_plan_limit about = LP_PLAN_LIMITS;
	int r = plan->n_changes ? lp_put(out, "\n") : 0;
	for (size_t i = 0; i < plan->n_changes && r == 0; i++) {
		const struct lp_plan_change *change = &plan->changes[i];
		if (change->limit != about)
			r = put_limit(style, out, plan, change->limit);
		about = change->limit;
		if (r == 0)
			r = put_change(style, out, plan, change);
	}
	return r < 0 ? r : put_hopeless(style, out, plan);
}

int lp_plan_view_text(const struct lp_plan *plan, const struct lp_text_options *options, FILE *out)
{
	static int (*const parts[])(const struct lp_style *, FILE *, const struct lp_plan *) = {
	        put_wishes, put_rows, NULL, put_verdict, put_steady, put_warnings, put_changes,
	};
	struct lp_locale locale = lp_locale_enter();
	struct lp_text_options plain = *options;
	if (!locale.utf8)
		plain.unicode = false;
	struct lp_style style = lp_style_make(NULL, &plain);
	int r = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && r == 0; i++)
		r = parts[i] ? parts[i](&style, out, plan) : lp_put(out, "\n");
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	lp_locale_leave(&locale);
	return r;
}
