/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * JSON schema 1. A report may have tens of thousands of limits: the head is one object, and each
 * limit is built, written and freed before the next, so that memory stays flat.
 */

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/utf8.h"
#include "limit/kinds.h"
#include "view/json_parts.h"
#include "view/style.h"

json_t *lp_json_text(const char *text)
{
	_cleanup_(lp_free_ptr) char *copy = strdup(text);
	if (!copy)
		return NULL;
	lp_utf8_clean(copy);
	return json_string(copy);
}

json_t *lp_json_fraction(double n)
{
	double scale = n != 0 && fabs(n) < 1 ? 1000 : 10;
	return json_real(fabs(n) < 1e14 ? (double)(int64_t)(n * scale + 0.5) / scale : n);
}

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static int set_count(json_t *object, const char *key, uint64_t n)
{
	return set_new(object, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

static int set_figure(json_t *object, const char *key, struct lp_figure figure)
{
	return figure.known ? set_count(object, key, figure.n) : 0;
}

static int set_real(json_t *object, const char *key, struct lp_real real)
{
	if (!real.known)
		return 0;
	return set_new(object, key, isfinite(real.n) ? lp_json_fraction(real.n) : json_null());
}

/* ---- the head ------------------------------------------------------------------------------ */

json_t *lp_json_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char date[64], text[80];
	if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		return NULL;
	(void)snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(ms % 1000));
	return json_string(text);
}

static json_t *gap_object(const struct lp_gap *gap)
{
	json_auto_t *object = json_object();
	if (set_new(object, "what", lp_json_text(gap->what)) < 0 ||
	    (gap->netns && set_count(object, "netns", gap->netns) < 0) ||
	    set_new(object, "why", lp_json_text(gap->why)) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *gap_list(const struct lp_snapshot *snapshot)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (json_array_append_new(list, gap_object(&snapshot->gaps[i])) < 0)
			return NULL;
	return json_incref(list);
}

static const char *const reader_names[] = {[LP_READER_DIAG] = "diag", [LP_READER_BPF] = "bpf"};

/* One connection in so many was read; left out where all were. */
static struct lp_figure sampled(const struct lp_snapshot *snapshot)
{
	uint32_t most = lp_snapshot_sampled(snapshot);
	return most ? lp_figure(most) : (struct lp_figure){0};
}

static json_t *head_object(const struct lp_report *report)
{
	const struct lp_snapshot *snapshot = report->snapshot;
	json_auto_t *head = json_object();
	if (set_count(head, "schema", 1) < 0 ||
	    set_new(head, "taken_at", lp_json_time(snapshot->taken_at_ms)) < 0 ||
	    set_new(head, "kernel", lp_json_text(snapshot->machine.kernel)) < 0 ||
	    set_new(head, "reader", json_string(reader_names[snapshot->reader])) < 0 ||
	    set_figure(head, "sampled", sampled(snapshot)) < 0 ||
	    set_new(head, "complete", json_boolean(snapshot->n_gaps == 0)) < 0 ||
	    set_new(head, "incomplete", gap_list(snapshot)) < 0 ||
	    set_new(head, "host", lp_json_text(snapshot->machine.host)) < 0 ||
	    set_count(head, "namespaces", snapshot->n_netns) < 0 ||
	    set_figure(head, "sockets", lp_snapshot_sockets(snapshot)) < 0 ||
	    set_count(head, "read_us", (uint64_t)snapshot->took_us) < 0)
		return NULL;
	return json_incref(head);
}

/* ---- one limit ----------------------------------------------------------------------------- */

json_t *lp_json_netns(const struct lp_netns *netns)
{
	json_auto_t *object = json_object();
	if (set_count(object, "inode", netns->inode) < 0 ||
	    set_new(object, "name", netns->name ? lp_json_text(netns->name) : json_null()) < 0)
		return NULL;
	return json_incref(object);
}

json_t *lp_json_scope(const struct lp_limit *limit)
{
	struct lp_scope scope = {0};
	json_auto_t *object = json_object();
	limit->kind->scope(limit, &scope);
	for (size_t i = 0; i < scope.n; i++) {
		const struct lp_scope_word *word = &scope.words[i];
		int r = 0;
		if (word->type == LP_SCOPE_NUMBER)
			r = set_count(object, word->key, word->number);
		else if (word->type == LP_SCOPE_TEXT)
			r = set_new(object, word->key, lp_json_text(word->text));
		else
			r = set_new(object, word->key, json_null());
		if (r < 0)
			return NULL;
	}
	return json_incref(object);
}

static json_t *states_object(const struct lp_pool *pool)
{
	uint32_t states[LP_STATES];
	for (int state = 0; state < LP_STATES; state++)
		states[state] = pool->states[state];
	return lp_json_states(states);
}

static json_t *drain_list(const struct lp_forecast *forecast)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < forecast->n_drain; i++) {
		json_t *point = json_pack("[i,I]", (int)(i + 1) * LP_DRAIN_STEP_S,
		                          (json_int_t)forecast->drain[i]);
		if (json_array_append_new(list, point) < 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *assumed_list(unsigned assumed)
{
	json_auto_t *list = json_array();
	for (int bit = 0; bit < LP_ASSUMPTIONS; bit++) {
		enum lp_assumption assumption = (enum lp_assumption)(1U << bit);
		if (assumed & assumption &&
		    json_array_append_new(list, json_string(lp_assumption_text(assumption))) < 0)
			return NULL;
	}
	return json_incref(list);
}

static int set_figures(json_t *object, const struct lp_limit *limit)
{
	if (set_count(object, "used", limit->used) < 0 ||
	    set_count(object, "capacity", limit->capacity) < 0 ||
	    set_figure(object, "reusable", limit->reusable) < 0 ||
	    set_count(object, "headroom", limit->headroom) < 0 ||
	    set_count(object, "pressure", limit->pressure) < 0)
		return -ENOMEM;
	if (limit->exact)
		return 0;
	if (limit->about && set_count(object, "error", limit->about) < 0)
		return -ENOMEM;
	return set_new(object, "exact", json_false());
}

static int set_forecast(json_t *object, const struct lp_forecast *forecast)
{
	if (set_real(object, "rate", forecast->rate) < 0 ||
	    set_real(object, "rate_10s", forecast->rate_recent) < 0 ||
	    set_real(object, "sustainable", forecast->sustainable) < 0 ||
	    set_real(object, "exhausted_in_s", forecast->exhausted_in_s) < 0 ||
	    set_real(object, "refusal_probability", forecast->chance.refused) < 0 ||
	    set_real(object, "found_per_connection", forecast->chance.found) < 0)
		return -ENOMEM;
	return forecast->n_drain ? set_new(object, "drain", drain_list(forecast)) : 0;
}

/* Pages say how large they are, and what of TCP's memory is not among them. */
static int set_pages(json_t *object, const struct lp_report *report)
{
	const struct lp_machine *machine = &report->snapshot->machine;
	struct lp_figure entries = lp_report_time_wait(report);
	if (set_figure(object, "page_size", machine->page_size) < 0)
		return -ENOMEM;
	if (!entries.known || !machine->time_wait_size.known)
		return 0;
	return set_count(object, "time_wait_bytes", entries.n * machine->time_wait_size.n);
}

static int set_owners(json_t *object, const struct lp_pool_owners *owners)
{
	if (set_new(object, "owners", lp_json_owners(owners)) < 0 ||
	    set_new(object, "owners_unknown", lp_json_unowned(owners)) < 0 ||
	    (owners->unlisted && set_count(object, "owners_unlisted", owners->unlisted) < 0))
		return -ENOMEM;
	return owners->exact ? 0 : set_new(object, "owners_exact", json_false());
}

static json_t *limit_object(const struct lp_report *report, size_t index)
{
	const struct lp_limit *limit = &report->limits.items[index];
	const struct lp_pool_owners *owners =
	        limit->kind->of_pool ? lp_owners_of(report->snapshot, limit->pool) : NULL;
	json_auto_t *object = json_object();
	if (set_new(object, "kind", json_string(limit->kind->name)) < 0 ||
	    (limit->netns != LP_NO_NETNS &&
	     set_new(object, "netns", lp_json_netns(&report->snapshot->netns[limit->netns])) < 0) ||
	    set_new(object, "scope", lp_json_scope(limit)) < 0 || set_figures(object, limit) < 0 ||
	    (limit->kind->of_pool && limit->pool &&
	     set_new(object, "states", states_object(limit->pool)) < 0) ||
	    set_forecast(object, &report->forecasts[index]) < 0 ||
	    (owners && set_owners(object, owners) < 0) ||
	    (limit->kind->unit == LP_UNIT_PAGES && set_pages(object, report) < 0) ||
	    (limit->kind->counters && lp_json_counters(object, report->snapshot, limit) < 0) ||
	    (limit->kind == &lp_snat_ports && lp_json_nat(object, limit->nat) < 0) ||
	    (limit->kind == &lp_conntrack_entries &&
	     lp_json_conntrack(object, report->snapshot, limit) < 0) ||
	    (limit->assumed && set_new(object, "assumed", assumed_list(limit->assumed)) < 0))
		return NULL;
	return json_incref(object);
}

/* ---- the whole ----------------------------------------------------------------------------- */

/*
 * Takes the object over; NULL stands for memory that was short. What fits the buffer, and a limit
 * does, goes out at once: token by token costs half as much again.
 */
static int put_object(FILE *out, json_t *taken, size_t extra)
{
	enum { DIGITS = 15 };
	const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(DIGITS) | extra;
	char text[4096];
	json_auto_t *object = taken;
	if (!object)
		return -ENOMEM;
	size_t length = json_dumpb(object, text, sizeof(text), flags);
	errno = 0;
	bool written = length > 0 && length <= sizeof(text) ? fwrite(text, 1, length, out) == length
	                                                    : json_dumpf(object, out, flags) == 0;
	return written ? 0 : lp_errno();
}

int lp_view_json(const struct lp_report *report, FILE *out)
{
	const struct lp_log *log = &report->snapshot->log;
	int r = lp_put(out, "{");
	if (r == 0)
		r = put_object(out, head_object(report), JSON_EMBED);
	if (r == 0)
		r = lp_put(out, ",\"limits\":[");
	for (size_t i = 0; i < report->limits.n && r == 0; i++) {
		r = lp_put(out, i ? "," : "");
		if (r == 0)
			r = put_object(out, limit_object(report, i), 0);
	}
	if (r == 0)
		r = lp_put(out, "],");
	if (r == 0)
		r = put_object(out, lp_json_findings(report), JSON_EMBED);
	if (r == 0 && (log->read || log->error)) {
		r = lp_put(out, ",");
		if (r == 0)
			r = put_object(out, lp_json_log(report->snapshot), JSON_EMBED);
	}
	if (r == 0)
		r = lp_put(out, "}\n");
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	return r;
}
