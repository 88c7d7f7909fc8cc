/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport prove: what people say about these limits, settled by experiments on this kernel. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "lab/prove.h"
#include "lab/provoke.h"
#include "lab/report.h"

enum { MOST_CLAIMS = 128, NOT_ALL_RAN = 1, DIFFERENT = 2, LONGEST_S = 86400 };

struct prove_options {
	bool list, json, markdown;
	const char *expect, *provoke;
	double seconds; /* of provoking; 0: not told */
	struct style style;
	const struct lab_claim *claims[MOST_CLAIMS];
	size_t n;
};

enum key { KEY_MARKDOWN = 256 };

static const struct argp_option options[] = {
        {"list", 'l', NULL, 0, "the claims there are, and run none", 0},
        {"json", 'j', NULL, 0, "verdicts and all measured figures, as JSON", 0},
        {"markdown", KEY_MARKDOWN, NULL, 0, "the same as a table for documentation", 0},
        {"expect", 'e', "FILE", 0,
         "compare with an earlier run, saved with --json, and name each verdict that differs", 0},
        {"provoke", 'p', "KIND", 0,
         "instead of proving, use up a limit of this kind in a namespace of its own, so that "
         "alerts and dashboards can be tried; 'list' lists the kinds",
         0},
        {"for", 'f', "SECONDS", 0, "how long to provoke: 60 unless told", 0},
        {0},
};

static void add_claim(struct prove_options *o, const struct argp_state *state, const char *id)
{
	const struct lab_claim *claim = lab_claim_find(id);
	if (!claim)
		usage_error(state, "no claim is called '%s': 'lastport prove --list' lists them",
		            id);
	for (size_t i = 0; i < o->n; i++)
		if (o->claims[i] == claim)
			return;
	if (o->n < MOST_CLAIMS)
		o->claims[o->n++] = claim;
}

static void check_together(const struct prove_options *o, const struct argp_state *state)
{
	if (o->json + o->markdown > 1)
		usage_error(state, "--json and --markdown: expected one of them");
	if (o->provoke && (o->n || o->list || o->expect || o->json || o->markdown))
		usage_error(state, "--provoke proves nothing: expected no claims and of options "
		                   "--for at most");
	if (o->seconds > 0 && !o->provoke)
		usage_error(state, "--for is how long to provoke: expected --provoke with it");
	if (o->list && (o->expect || o->markdown))
		usage_error(state, "--list runs nothing: expected no --expect or --markdown");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct prove_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		state->child_inputs[0] = &o->style;
		return 0;
	case 'l':
		o->list = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case KEY_MARKDOWN:
		o->markdown = true;
		return 0;
	case 'e':
		o->expect = arg;
		return 0;
	case 'p':
		o->provoke = arg;
		return 0;
	case 'f':
		o->seconds = option_real(state, "for", arg, "s", 1, LONGEST_S);
		return 0;
	case ARGP_KEY_ARG:
		add_claim(o, state, arg);
		return 0;
	case ARGP_KEY_END:
		check_together(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int write_json(json_t *document)
{
	errno = 0;
	bool written = document && json_dumpf(document, stdout, JSON_COMPACT) == 0 &&
	               putchar('\n') != EOF && fflush(stdout) == 0;
	int r = written ? 0 : lp_errno();
	json_decref(document);
	return write_status(r);
}

static struct lab_report_options report_options(const struct prove_options *o)
{
	const struct lastport_text_options text = style_text(&o->style, 0);
	return (struct lab_report_options){.width = text.width, .colour = text.colour};
}

static int list(const struct prove_options *o)
{
	if (o->json)
		return write_json(lab_report_list_json());
	struct lab_report_options report = report_options(o);
	return write_status(lab_report_list(&report, stdout));
}

/* How far the run is, on the terminal's one line. */
struct progress {
	size_t n, ended;
};

static void show_progress(const struct lab_claim *claim, const char *verdict, double seconds,
                          void *context)
{
	struct progress *progress = context;
	progress->ended += verdict != NULL;
	(void)fprintf(stderr, "\r\033[K%zu of %zu claims, %.0f s: %s", progress->ended, progress->n,
	              seconds, claim->id);
	if (progress->ended == progress->n)
		(void)fputs("\r\033[K", stderr);
}

static int write_results(const struct prove_options *o, json_t *results)
{
	json_t *document = lab_prove_document(results);
	if (o->json)
		return write_json(document);
	struct lab_report_options report = report_options(o);
	int r = o->markdown ? lab_report_markdown(document, stdout)
	                    : lab_report_text(results, &report, stdout);
	json_decref(document);
	return write_status(r);
}

static int compare(const json_t *saved, json_t *results)
{
	json_t *document = lab_prove_document(results);
	int r = lab_report_compare(saved, document, stderr);
	json_decref(document);
	if (r < 0)
		return write_status(r);
	return r > 0 ? DIFFERENT : 0;
}

static int prove(struct prove_options *o, const json_t *saved)
{
	if (!o->n)
		while (lab_claims[o->n] && o->n < MOST_CLAIMS) {
			o->claims[o->n] = lab_claims[o->n];
			o->n++;
		}
	struct progress progress = {.n = o->n};
	struct lab_prove_options run = {.context = &progress};
	if (isatty(STDERR_FILENO))
		run.progress = show_progress;
	json_t *results = NULL;
	int r = lab_prove(o->claims, o->n, &run, &results);
	if (r < 0)
		return complain(EX_OSERR, "the claims could not be run: %s", strerror(-r));
	int status = write_results(o, results);
	if (status == 0 && saved)
		status = compare(saved, results);
	if (status == 0 && lab_prove_not_run(results))
		status = NOT_ALL_RAN;
	json_decref(results);
	return status;
}

static int list_provokers(void)
{
	for (const struct lab_provoker *p = lab_provokers; p->kind; p++)
		(void)printf("%-18s %s\n", p->kind, p->description);
	return write_status(fflush(stdout) == 0 ? 0 : lp_errno());
}

static int provoke(const struct prove_options *o)
{
	if (!strcmp(o->provoke, "list"))
		return list_provokers();
	struct lp_error err = {0};
	int r = lab_provoke(o->provoke, o->seconds > 0 ? o->seconds : 60, stdout, &err);
	if (r < 0 && ferror(stdout))
		return write_status(r);
	if (r < 0)
		return complain(r == -ENOTSUP ? EX_USAGE : EX_OSERR, "%s",
		                *err.text ? err.text : strerror(-r));
	return 0;
}

int prove_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .children = style_child,
	        .args_doc = "[CLAIM...]",
	        .doc = "Settles what people say about these limits by experiments on this kernel, "
	               "in namespaces of their own. Without CLAIM, all of them.\vExit status: 0 "
	               "all were run, whatever the verdicts; 1 one could not be run; 2 a verdict "
	               "differs from that of --expect; 64 an option is wrong; 71 the system does "
	               "not allow it; 74 the answer can't be written.",
	};
	struct prove_options o = {0};
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	if (o.provoke)
		return provoke(&o);
	if (o.list)
		return list(&o);
	json_t *saved = NULL;
	struct lp_error err = {0};
	if (o.expect && lab_report_load(o.expect, &saved, &err) < 0)
		return complain(EX_OSERR, "%s", err.text);
	int status = prove(&o, saved);
	json_decref(saved);
	return status;
}
