/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/event.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "snapshot/cgroup.h"
#include "view/json_parts.h"
#include "view/style.h"

/* ---- for people ---------------------------------------------------------------------------- */

/* "02:13:07" of UTC. */
static void clock_text(int64_t ms, char buf[LP_FIGURE_TEXT])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	if (!gmtime_r(&seconds, &tm) || !strftime(buf, LP_FIGURE_TEXT, "%H:%M:%S", &tm))
		buf[0] = '\0';
}

static int put_netns(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	char name[LP_CELL];
	if (!event->has_netns || event->netns_own ||
	    (event->netns_name && !strcmp(event->netns_name, "host")))
		return 0;
	if (event->netns_name)
		(void)snprintf(name, sizeof(name), "%s", event->netns_name);
	else
		(void)snprintf(name, sizeof(name), "namespace %" PRIu64, event->netns.inode);
	lp_text_clean(name, style->unicode);
	return lp_put(out, " in %s", name);
}

static int put_line(const struct lp_event_style *style, const struct lp_log_entry *line, FILE *out)
{
	char subject[LP_LOG_SUBJECT];
	(void)snprintf(subject, sizeof(subject), "%s", line->subject);
	lp_text_clean(subject, style->unicode);
	return lp_put(out, ": \"%s\"%s%s", lp_log_kinds[line->what].words, *subject ? " " : "",
	              subject);
}

static int put_process(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	char who[2 * LP_CELL], cgroup[LP_CELL], number[LP_FIGURE_TEXT];
	if (!event->processes)
		return 0;
	lp_style_cgroup(event->cgroup, 0, cgroup);
	const char *command = *event->command ? event->command : "?";
	if (event->processes > 1)
		(void)snprintf(who, sizeof(who), "%s (%s processes)%s", command,
		               lp_text_count(event->processes, number), cgroup);
	else
		(void)snprintf(who, sizeof(who), "%s (%d)%s", command, event->pid, cgroup);
	lp_text_clean(who, style->unicode);
	return lp_put(out, " by %s", who);
}

static int put_remote(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	char remote[LP_ADDRESS_TEXT];
	if (!event->has_remote)
		return 0;
	return lp_put(out, " %s %s", style->unicode ? "→" : "->",
	              lp_address_port_text(&event->remote, event->remote_port, remote));
}

/* "7.3 ms", "16 µs" */
static int put_search(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	char number[LP_FIGURE_TEXT];
	if (!event->search_ms.known)
		return 0;
	if (event->search_ms.n >= 1)
		return lp_put(out, ", search %s ms", lp_text_real(event->search_ms.n, number));
	return lp_put(out, ", search %.0f %s", event->search_ms.n * 1000,
	              style->unicode ? "µs" : "us");
}

static int write_text(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	char clock[LP_FIGURE_TEXT], count[LP_FIGURE_TEXT], rate[LP_FIGURE_TEXT];
	clock_text(event->at_ms, clock);
	int r = lp_put(out, "%s %9s %s%s%s", clock, lp_text_count(event->count, count),
	               style->colour ? "\033[1m" : "", lp_event_names[event->kind].label,
	               style->colour ? "\033[0m" : "");
	if (r == 0)
		r = put_process(style, event, out);
	if (r == 0)
		r = put_remote(style, event, out);
	if (r == 0)
		r = put_netns(style, event, out);
	if (r == 0 && event->rate.known)
		r = lp_put(out, ", %s/s", lp_text_real(event->rate.n, rate));
	if (r == 0)
		r = put_search(style, event, out);
	if (r == 0 && event->why)
		r = lp_put(out, ": %s", event->why);
	if (r == 0 && event->line)
		r = put_line(style, event->line, out);
	return r < 0 ? r : lp_put(out, "\n");
}

static int write_totals_text(const struct lp_event_totals *totals, FILE *out)
{
	char number[LP_FIGURE_TEXT];
	const char *before = " ";
	int r = lp_put(out, "In %s s:", lp_text_real(totals->seconds, number));
	for (int kind = 0; kind < LP_EVENTS && r == 0; kind++) {
		if (!totals->counts[kind])
			continue;
		r = lp_put(out, "%s%s %s", before, lp_text_count(totals->counts[kind], number),
		           lp_event_names[kind].label);
		before = ", ";
	}
	if (r == 0 && *before == ' ')
		r = lp_put(out, " nothing");
	if (r == 0 && totals->lost)
		r = lp_put(out, "; %s lost", lp_text_count(totals->lost, number));
	return r < 0 ? r : lp_put(out, ".\n");
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static int put_json(FILE *out, json_t *taken)
{
	enum { DIGITS = 15 };
	json_auto_t *object = taken;
	if (!object)
		return -ENOMEM;
	errno = 0;
	if (json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) < 0)
		return lp_errno();
	return lp_put(out, "\n");
}

static json_t *netns_object(const struct lp_event *event)
{
	const struct lp_netns netns = {.inode = event->netns.inode,
	                               .name = (char *)event->netns_name};
	return lp_json_netns(&netns);
}

/* To a tenth. */
static json_t *tenths(double n)
{
	return json_real((double)(int64_t)(n * 10 + 0.5) / 10);
}

static int set_line(json_t *object, const struct lp_log_entry *line)
{
	if (json_object_set_new(object, "what", json_string(lp_log_kinds[line->what].name)) < 0)
		return -ENOMEM;
	if (!*line->subject)
		return 0;
	return json_object_set_new(object, "subject", lp_json_text(line->subject));
}

/* What is not known is left out. */
static int set_process(json_t *object, const struct lp_event *event)
{
	struct lp_cgroup_names names = {.runtime = ""};
	if (!event->processes)
		return 0;
	if (event->cgroup)
		lp_cgroup_names(event->cgroup, &names);
	const struct {
		const char *key, *text;
	} texts[] = {{"command", event->command}, {"cgroup", event->cgroup},
	             {"unit", names.unit},        {"container", names.container},
	             {"runtime", names.runtime},  {"pod", names.pod}};
	bool one = event->processes == 1;
	int r = json_object_set_new(object, one ? "pid" : "processes",
	                            json_integer(one ? event->pid : (json_int_t)event->processes));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && r == 0; i++)
		if (texts[i].text && *texts[i].text)
			r = json_object_set_new(object, texts[i].key, lp_json_text(texts[i].text));
	return r;
}

static int set_remote(json_t *object, const struct lp_event *event)
{
	char remote[LP_ADDRESS_TEXT];
	if (!event->has_remote)
		return 0;
	if (json_object_set_new(object, "remote",
	                        json_string(lp_address_text(&event->remote, remote))) < 0)
		return -1;
	return json_object_set_new(object, "remote_port", json_integer(event->remote_port));
}

/* In nanoseconds at the finest. */
static json_t *milliseconds(double ms)
{
	return json_real((double)(int64_t)(ms * 1e6 + 0.5) / 1e6);
}

static json_t *event_object(const struct lp_event *event)
{
	const char *why = event->reason ? event->reason : event->why;
	json_auto_t *object =
	        json_pack("{s:o,s:s,s:I}", "at", lp_json_time(event->at_ms), "event",
	                  lp_event_names[event->kind].name, "count", (json_int_t)event->count);
	if (!object ||
	    (event->has_netns && json_object_set_new(object, "netns", netns_object(event)) < 0) ||
	    (event->rate.known && json_object_set_new(object, "rate", tenths(event->rate.n)) < 0) ||
	    (event->line && set_line(object, event->line) < 0) || set_process(object, event) < 0 ||
	    set_remote(object, event) < 0 ||
	    (event->search_ms.known &&
	     json_object_set_new(object, "search_ms", milliseconds(event->search_ms.n)) < 0) ||
	    (why && json_object_set_new(object, "why", json_string(why)) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *totals_object(const struct lp_event_totals *totals)
{
	json_auto_t *counts = json_object();
	for (int kind = 0; kind < LP_EVENTS; kind++)
		if (totals->counts[kind] &&
		    json_object_set_new(counts, lp_event_names[kind].name,
		                        json_integer((json_int_t)totals->counts[kind])) < 0)
			return NULL;
	return json_pack("{s:s,s:o,s:O,s:I}", "event", "summary", "seconds",
	                 tenths(totals->seconds), "counts", counts, "lost",
	                 (json_int_t)totals->lost);
}

/* ---- either -------------------------------------------------------------------------------- */

static int flush(FILE *out, int r)
{
	errno = 0;
	return r == 0 && fflush(out) != 0 ? lp_errno() : r;
}

int lp_event_write(const struct lp_event_style *style, const struct lp_event *event, FILE *out)
{
	return flush(out, style->json ? put_json(out, event_object(event))
	                              : write_text(style, event, out));
}

int lp_event_write_missing(const struct lp_event_style *style, const char *what, const char *why,
                           FILE *out)
{
	return flush(out, style->json
	                          ? put_json(out, json_pack("{s:s,s:s,s:o}", "event", "missing",
	                                                    "what", what, "why", lp_json_text(why)))
	                          : lp_put(out, "Not traced (%s): %s.\n", what, why));
}

int lp_event_write_totals(const struct lp_event_style *style, const struct lp_event_totals *totals,
                          FILE *out)
{
	return flush(out, style->json ? put_json(out, totals_object(totals))
	                              : write_totals_text(totals, out));
}
