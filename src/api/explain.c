/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* liblastport: explanations. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/options.h"
#include "api/report.h"
#include "api/take.h"
#include "base/cleanup.h"
#include "kernel/ledger.h"
#include "view/explain.h"

struct lastport_explanation {
	struct lastport_report *report;
	struct lp_explanation explanation;
};

void lastport_explanation_free(struct lastport_explanation *explanation)
{
	if (!explanation)
		return;
	lp_explanation_done(&explanation->explanation);
	lastport_report_free(explanation->report);
	free(explanation);
}

static int look(const struct lastport_explain_options *options, struct lastport_report **ret,
                char *message, size_t message_size)
{
	struct lastport_look_options look_options = LASTPORT_LOOK_OPTIONS_INIT;
	look_options.netns = options->netns;
	return lastport_look(&look_options, ret, message, message_size);
}

/* The process that is meant, by its number. */
static int find_process(const struct lp_query *query, struct lp_snapshot *snapshot,
                        struct lp_error *err)
{
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	if (query->of != LP_QUERY_PID || !snapshot->ledger || snapshot->ledger->other_pids)
		return 0;
	int r = lp_kernel_open(&kernel, err);
	if (r == 0)
		lp_ledger_mean(&kernel, query->line.pid, snapshot->ledger);
	return r;
}

static int explain(const struct lp_query *query, struct lastport_explanation *explanation)
{
	const struct lp_report *report = &explanation->report->view;
	const struct lp_facts facts = {.snapshot = report->snapshot,
	                               .limits = &report->limits,
	                               .forecasts = report->forecasts};
	return lp_explain(&facts, &report->findings, query, &explanation->explanation);
}

/* -EINVAL of the text is -ENOMSG: an option was no mistake. */
static int make(const struct lastport_explain_options *given, struct lastport_explanation **ret,
                char *message, size_t message_size, struct lp_error *err)
{
	struct lastport_explain_options options;
	struct lp_query query;
	if (!lp_take_struct(&options, sizeof(options), given))
		return lp_fail(err, EINVAL, "options are of a newer version of the library");
	if (lp_query_read(options.what, &query, err) < 0)
		return -ENOMSG;
	struct lastport_explanation *made = calloc(1, sizeof(*made));
	if (!made)
		return lp_fail(err, ENOMEM, "out of memory");
	int r = look(&options, &made->report, message, message_size);
	if (r == 0)
		r = find_process(&query, made->report->view.snapshot, err);
	if (r == 0 && (r = explain(&query, made)) < 0)
		lp_say(err, "out of memory");
	if (r < 0) {
		lastport_explanation_free(made);
		return r;
	}
	*ret = made;
	return 0;
}

int lastport_explain(const struct lastport_explain_options *options,
                     struct lastport_explanation **ret, char *message, size_t message_size)
{
	struct lp_error err = {0};
	int r = make(options, ret, message, message_size, &err);
	if (r < 0 && *err.text && message && message_size)
		(void)snprintf(message, message_size, "%s", err.text);
	return r;
}

int lastport_explanation_write_json(const struct lastport_explanation *explanation, FILE *out)
{
	return lp_explain_view_json(&explanation->report->view, &explanation->explanation, out);
}

int lastport_explanation_write_text(const struct lastport_explanation *explanation,
                                    const struct lastport_text_options *options, FILE *out)
{
	struct lp_text_options text;
	int r = lp_options_text(options, &text);
	return r < 0 ? r
	             : lp_explain_view_text(&explanation->report->view, &explanation->explanation,
	                                    &text, out);
}
