/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* liblastport: the walk from the kernel to a report, and a report's figures one by one. */

#include "lastport/lastport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/gaps.h"
#include "api/growth.h"
#include "api/options.h"
#include "api/owners.h"
#include "api/programs.h"
#include "api/report.h"
#include "api/take.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/kernel.h"
#include "kernel/ledger.h"
#include "limit/kinds.h"
#include "view/view.h"

const char *lastport_version(void)
{
	return LASTPORT_VERSION;
}

void lastport_report_free(struct lastport_report *report)
{
	if (!report)
		return;
	for (size_t i = 0; report->gaps && i < report->view.snapshot->n_gaps; i++)
		free(report->gaps[i]);
	free(report->gaps);
	lp_findings_done(&report->view.findings);
	free(report->view.forecasts);
	lp_limits_done(&report->view.limits);
	lp_snapshot_free(report->view.snapshot);
	free(report);
}

static void report_freep(struct lastport_report **report)
{
	lastport_report_free(*report);
}

static int write_gaps(struct lastport_report *report)
{
	const struct lp_snapshot *snapshot = report->view.snapshot;
	report->gaps = calloc(snapshot->n_gaps + 1, sizeof(*report->gaps));
	if (!report->gaps)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->n_gaps; i++) {
		const struct lp_gap *gap = &snapshot->gaps[i];
		int n = gap->netns ? asprintf(&report->gaps[i], "%s (namespace %llu): %s",
		                              gap->what, (unsigned long long)gap->netns, gap->why)
		                   : asprintf(&report->gaps[i], "%s: %s", gap->what, gap->why);
		if (n < 0) {
			report->gaps[i] = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

static int forecast_all(struct lp_report *report)
{
	report->forecasts = calloc(report->limits.n + 1, sizeof(*report->forecasts));
	if (!report->forecasts)
		return -ENOMEM;
	for (size_t i = 0; i < report->limits.n; i++)
		report->forecasts[i] = lp_forecast_one(report->snapshot, &report->limits.items[i]);
	return 0;
}

/* What is wrong, once the forecasts are complete. */
static int judge(struct lastport_report *report, const struct lp_limit_kind *only,
                 struct lp_error *err)
{
	const struct lp_facts facts = {
	        .snapshot = report->view.snapshot,
	        .limits = &report->view.limits,
	        .forecasts = report->view.forecasts,
	};
	if (lp_findings_judge(&facts, only, &report->view.findings) < 0)
		return lp_fail(err, ENOMEM, "out of memory");
	return 0;
}

/* One look as a report: everything but growth and findings. *ret is the caller's. */
static int look_once(const struct lp_kernel *kernel, const struct lp_look_options *options,
                     const struct lp_limit_kind *only, struct lastport_report **ret,
                     struct lp_error *err)
{
	_cleanup_(report_freep) struct lastport_report *report = calloc(1, sizeof(*report));
	if (!report)
		return lp_fail(err, ENOMEM, "out of memory");
	_cleanup_(lp_owner_notes_done) struct lp_owner_notes notes = {0};
	struct lp_look_options noting = *options;
	noting.notes = &notes;
	report->view.only = only;
	int r = lp_look(kernel, &noting, &report->view.snapshot, err);
	if (r < 0)
		return r;
	lp_gaps_select(report->view.snapshot, options->netns, only);
	lp_log_select(report->view.snapshot, options->netns, only);
	r = lp_limits_collect(report->view.snapshot, only, &report->view.limits);
	if (r == 0)
		r = lp_report_owners(kernel, &notes, &report->view);
	if (r == 0)
		r = lp_report_programs(kernel, &report->view);
	if (r == 0 && notes.ledger)
		r = lp_ledger_read(notes.ledger, kernel, &report->view.snapshot->ledger);
	report->view.snapshot->ledger_closed = notes.ledger_closed;
	if (r == 0)
		r = forecast_all(&report->view);
	if (r == 0)
		r = write_gaps(report);
	if (r < 0)
		return lp_fail(err, -r, "out of memory");
	*ret = lp_take_ptr(report);
	return 0;
}

static int look_twice(const struct lp_kernel *kernel, const struct lp_look_options *options,
                      const struct lp_limit_kind *only, uint32_t interval_ms,
                      struct lastport_report **ret, struct lp_error *err)
{
	_cleanup_(report_freep) struct lastport_report *first = NULL;
	_cleanup_(report_freep) struct lastport_report *second = NULL;
	struct lp_look_options without_log = *options;
	without_log.log = false;
	int r = look_once(kernel, &without_log, only, &first, err);
	if (r < 0)
		return r;
	int64_t begin = lp_clock_ns();
	lp_clock_sleep_ms(interval_ms);
	r = look_once(kernel, options, only, &second, err);
	if (r < 0)
		return r;
	double seconds = (double)(lp_clock_ns() - begin) / 1e9;
	if (lp_growth(&first->view, &second->view, seconds) < 0)
		return lp_fail(err, ENOMEM, "out of memory");
	*ret = lp_take_ptr(second);
	return 0;
}

static int look_and_judge(const struct lp_kernel *kernel, const struct lp_look_options *options,
                          const struct lp_limit_kind *only, uint32_t interval_ms,
                          struct lastport_report **ret, struct lp_error *err)
{
	_cleanup_(report_freep) struct lastport_report *report = NULL;
	int r = interval_ms ? look_twice(kernel, options, only, interval_ms, &report, err)
	                    : look_once(kernel, options, only, &report, err);
	if (r == 0)
		r = judge(report, only, err);
	if (r == 0)
		*ret = lp_take_ptr(report);
	return r;
}

static int choose_reader(const char *name, enum lp_read *ret, struct lp_error *err)
{
	static const char *const names[] = {
	        [LP_READ_AUTO] = "auto", [LP_READ_DIAG] = "diag", [LP_READ_BPF] = "bpf"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!name || !strcmp(name, names[i])) {
			*ret = (enum lp_read)i;
			return 0;
		}
	}
	return lp_fail(err, EINVAL, "no reader is called '%s': expected diag, bpf or auto", name);
}

/* Each entry only for who asks for them; none for who asks for something else. */
static enum lp_read_conntrack conntrack_for(const struct lp_limit_kind *only)
{
	if (!only)
		return LP_CONNTRACK_AUTO;
	return only == &lp_conntrack_entries || only == &lp_snat_ports ? LP_CONNTRACK_ALL
	                                                               : LP_CONNTRACK_COUNTED;
}

static int look(const struct lastport_look_options *given, struct lastport_report **ret,
                struct lp_error *err)
{
	struct lastport_look_options options;
	if (!lp_take_struct(&options, sizeof(options), given))
		return lp_fail(err, EINVAL, "options are of a newer version of the library");
	const struct lp_limit_kind *only = NULL;
	if (options.kind) {
		only = lp_limit_kind_find(options.kind);
		if (!only)
			return lp_fail(err, EINVAL, "no kind of limit is called '%s'",
			               options.kind);
	}
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	int r = lp_kernel_open(&kernel, err);
	if (r < 0)
		return r;
	struct lp_look_options look_options = {.netns = options.netns,
	                                       .exact = options.exact,
	                                       .conntrack = conntrack_for(only),
	                                       .log = true};
	r = choose_reader(options.reader, &look_options.reader, err);
	if (r < 0)
		return r;
	return look_and_judge(&kernel, &look_options, only, options.interval_ms, ret, err);
}

int lastport_look(const struct lastport_look_options *options, struct lastport_report **ret,
                  char *message, size_t message_size)
{
	struct lp_error err = {0};
	int r = look(options, ret, &err);
	if (r < 0 && message && message_size)
		(void)snprintf(message, message_size, "%s", *err.text ? err.text : strerror(-r));
	return r;
}

bool lastport_report_complete(const struct lastport_report *report)
{
	return report->view.snapshot->n_gaps == 0;
}

size_t lastport_report_gaps(const struct lastport_report *report)
{
	return report->view.snapshot->n_gaps;
}

const char *lastport_report_gap(const struct lastport_report *report, size_t index)
{
	return index < report->view.snapshot->n_gaps ? report->gaps[index] : NULL;
}

bool lastport_report_gap_concerns(const struct lastport_report *report, size_t index,
                                  const char *kind)
{
	const struct lp_limit_kind *found = lp_limit_kind_find(kind);
	return found && index < report->view.snapshot->n_gaps &&
	       lp_gap_concerns(&report->view.snapshot->gaps[index], found);
}

size_t lastport_report_limits(const struct lastport_report *report)
{
	return report->view.limits.n;
}

static double known_or_0(struct lp_real real, unsigned bit, unsigned *known)
{
	if (!real.known)
		return 0;
	*known |= bit;
	return real.n;
}

int lastport_report_limit(const struct lastport_report *report, size_t index,
                          struct lastport_limit *ret)
{
	size_t size = ret->size;
	if (size <= sizeof(size) || size > sizeof(*ret))
		return -EINVAL;
	if (index >= report->view.limits.n)
		return -ERANGE;
	const struct lp_limit *limit = &report->view.limits.items[index];
	const struct lp_forecast *forecast = &report->view.forecasts[index];
	struct lastport_limit out = {
	        .size = sizeof(out),
	        .kind = limit->kind->name,
	        .used = limit->used,
	        .capacity = limit->capacity,
	        .headroom = limit->headroom,
	        .pressure = limit->pressure,
	        .exact = limit->exact,
	};
	if (limit->netns != LP_NO_NETNS) {
		out.known |= LASTPORT_KNOWN_NETNS;
		out.netns = report->view.snapshot->netns[limit->netns].inode;
		out.netns_name = report->view.snapshot->netns[limit->netns].name;
	}
	if (limit->reusable.known) {
		out.known |= LASTPORT_KNOWN_REUSABLE;
		out.reusable = limit->reusable.n;
	}
	if (limit->kind == &lp_local_ports) {
		out.known |= LASTPORT_KNOWN_LIVE;
		if (limit->pool)
			out.live = lp_pool_total(limit->pool) - limit->pool->states[LP_TIME_WAIT];
	}
	out.rate = known_or_0(forecast->rate, LASTPORT_KNOWN_RATE, &out.known);
	out.sustainable = known_or_0(forecast->sustainable, LASTPORT_KNOWN_SUSTAINABLE, &out.known);
	out.exhausted_in_s =
	        known_or_0(forecast->exhausted_in_s, LASTPORT_KNOWN_EXHAUSTED, &out.known);
	memcpy(ret, &out, size);
	return 0;
}

int lastport_report_where(const struct lastport_report *report, size_t index, char *buf,
                          size_t size)
{
	if (index >= report->view.limits.n)
		return -ERANGE;
	const struct lp_limit *limit = &report->view.limits.items[index];
	char where[2 * LP_ADDRESS_TEXT + 16] = "";
	if (limit->kind->where)
		limit->kind->where(limit, "→", where, sizeof(where));
	return snprintf(buf, size, "%s", where);
}

int lastport_report_find_destination(const struct lastport_report *report, const char *address_port,
                                     size_t *ret_index)
{
	struct lp_address address;
	uint16_t port;
	if (lp_address_port_parse(address_port, &address, &port) < 0)
		return -EINVAL;
	size_t found = SIZE_MAX;
	for (size_t i = 0; i < report->view.limits.n; i++) {
		const struct lp_limit *limit = &report->view.limits.items[i];
		if (limit->kind != &lp_local_ports)
			continue;
		if (limit->pool && limit->pool->key.port == port &&
		    lp_address_is_meant(&address, &limit->pool->key.remote)) {
			*ret_index = i; /* the limits are sorted: the fullest one comes first */
			return 0;
		}
		if (found == SIZE_MAX && !limit->pool && limit->family == address.family)
			found = i;
	}
	if (found == SIZE_MAX)
		return -ENOENT;
	*ret_index = found;
	return 0;
}

const char *lastport_kind_name(size_t index)
{
	for (size_t i = 0; lp_limit_kinds[i]; i++)
		if (i == index)
			return lp_limit_kinds[i]->name;
	return NULL;
}

int lastport_write_json(const struct lastport_report *report, FILE *out)
{
	return lp_view_json(&report->view, out);
}

int lastport_write_text(const struct lastport_report *report,
                        const struct lastport_text_options *options, FILE *out)
{
	struct lp_text_options text;
	int r = lp_options_text(options, &text);
	return r < 0 ? r : lp_view_text(&report->view, &text, out);
}
