/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Explanations as people and programs get them, byte for byte. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "compare.h"
#include "fixtures.h"
#include "snapshot/ledger.h"
#include "view/explain.h"
#include "view/style.h"

static const struct {
	const char *name, *fixture, *what;
} all[] = {
        {"line", "proxy",
         "[crit] 812#812: *4 connect() to 10.1.2.3:443 failed (99: Cannot assign requested "
         "address) "
         "while connecting to upstream"},
        {"elsewhere", "proxy", "dial tcp 192.0.2.1:80: connect: cannot assign requested address"},
        {"descriptors", "proxy", "accept: Too many open files"},
        {"limit", "proxy", "conntrack-entries"},
        {"destination", "proxy", "10.1.2.3:443"},
        {"process", "proxy", "pid:812"},
        {"finding", "findings", "short-connections"},
        {"worst", "findings", NULL},
        {"nothing", "idle", NULL},
        {"unseen", "unknown", "EADDRINUSE"},
        {"ledger-error", "proxy", "EADDRNOTAVAIL"},
        {"ledger-destination", "proxy", "10.1.2.3:443"},
        {"ledger-elsewhere", "proxy", "192.0.2.1:80"},
        {"ledger-process", "proxy", "pid:812"},
        {"ledger-stranger", "proxy", "pid:1"},
};
enum { ALL = sizeof(all) / sizeof(all[0]) };

static struct lp_report *report_of(const char *name)
{
	const struct fixture *fixture = fixtures;
	while (fixture->name && strcmp(fixture->name, name) != 0)
		fixture++;
	assert_non_null(fixture->name);
	return fixture_make(fixture);
}

/* On since an hour: nginx was refused just now, curl long ago, and of TIME_WAIT it knows nginx. */
static void remember(struct lp_snapshot *snapshot)
{
	enum { HOUR_MS = 3600000, LONG_MS = 600000, MOMENT_MS = 3000 };
	const uint64_t netns = snapshot->netns[0].inode;
	const struct lp_ledger_party nginx = {.netns = {.inode = netns},
	                                      .pid = 812,
	                                      .command = "nginx"},
	                             curl = {.netns = {.inode = netns},
	                                     .pid = 4711,
	                                     .command = "curl"};
	int64_t now = snapshot->taken_at_ms;
	struct lp_ledger_facts *ledger = calloc(1, sizeof(*ledger));
	assert_non_null(ledger);
	ledger->actors = calloc(2, sizeof(*ledger->actors));
	ledger->refusals = calloc(2, sizeof(*ledger->refusals));
	assert_true(ledger->actors && ledger->refusals);
	ledger->since_ms = now - HOUR_MS;
	ledger->actors[ledger->n_actors++] = (struct lp_ledger_actor){
	        .party = nginx, .opened = 28240, .closed_first = 28150, .refused = 57};
	ledger->actors[ledger->n_actors++] =
	        (struct lp_ledger_actor){.party = curl, .opened = 3, .refused = 1};
	struct lp_ledger_refusal *refusal = &ledger->refusals[ledger->n_refusals++];
	*refusal = (struct lp_ledger_refusal){.party = nginx,
	                                      .port = 443,
	                                      .refused = 57,
	                                      .first_ms = now - LONG_MS,
	                                      .last_ms = now - MOMENT_MS};
	assert_int_equal(lp_address_parse("10.1.2.3", &refusal->remote), 0);
	refusal = &ledger->refusals[ledger->n_refusals++];
	*refusal = (struct lp_ledger_refusal){.party = curl,
	                                      .port = 80,
	                                      .refused = 1,
	                                      .first_ms = now - LONG_MS,
	                                      .last_ms = now - LONG_MS};
	assert_int_equal(lp_address_parse("192.0.2.1", &refusal->remote), 0);
	ledger->refused = 58;
	snapshot->ledger = ledger;
}

static struct lp_explanation explain(const struct lp_report *report, const char *what)
{
	struct lp_explanation explanation;
	struct lp_query query;
	struct lp_error err = {0};
	const struct lp_facts facts = {.snapshot = report->snapshot,
	                               .limits = &report->limits,
	                               .forecasts = report->forecasts};
	assert_int_equal(lp_query_read(what, &query, &err), 0);
	assert_int_equal(lp_explain(&facts, &report->findings, &query, &explanation), 0);
	return explanation;
}

/* options NULL: JSON. */
static char *text_of(size_t i, const struct lp_text_options *options)
{
	char *text = NULL;
	size_t size = 0;
	struct lp_report *report = report_of(all[i].fixture);
	if (!strncmp(all[i].name, "ledger-", 7)) /* it is on */
		remember(report->snapshot);
	struct lp_explanation explanation = explain(report, all[i].what);
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(options ? lp_explain_view_text(report, &explanation, options, out)
	                         : lp_explain_view_json(report, &explanation, out),
	                 0);
	assert_int_equal(fclose(out), 0);
	lp_explanation_done(&explanation);
	fixture_free(report);
	return text;
}

static void golden(size_t i, const char *ending, const struct lp_text_options *options)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "explain-%s%s", all[i].name, ending);
	_cleanup_(lp_free_ptr) char *text = text_of(i, options);
	golden_compare(name, text);
}

static void texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++)
		golden(i, ".txt",
		       &(struct lp_text_options){.width = 80, .unicode = true, .rows = 1});
	golden(0, "-all.txt", &(struct lp_text_options){.width = 80, .unicode = true});
	golden(0, "-colour.txt",
	       &(struct lp_text_options){.width = 80, .unicode = true, .colour = true, .rows = 1});
	golden(0, "-ascii.txt", &(struct lp_text_options){.width = 80, .rows = 1});
}

static void json(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		_cleanup_(lp_free_ptr) char *text = text_of(i, NULL);
		json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(root);
		json_decref(root);
		golden(i, ".json", NULL);
	}
}

static void widths(void **state)
{
	(void)state;
	struct lp_locale locale = lp_locale_enter();
	for (size_t i = 0; i < ALL; i++)
		for (unsigned width = 72; width < 140; width += 13) {
			_cleanup_(lp_free_ptr) char *text = text_of(
			        i, &(struct lp_text_options){.width = width, .unicode = true});
			char *rest = text, *line;
			while ((line = strsep(&rest, "\n")))
				if (lp_text_width(line) > width ||
				    (*line && line[strlen(line) - 1] == ' '))
					fail_msg("%s, %u columns: '%s'", all[i].name, width, line);
		}
	lp_locale_leave(&locale);
}

static void a_full_disk_is_told(void **state)
{
	(void)state;
	struct lp_report *report = report_of("proxy");
	struct lp_explanation explanation = explain(report, all[0].what);
	_cleanup_(lp_close_file) FILE *full = fopen("/dev/full", "we");
	assert_non_null(full);
	assert_int_equal(lp_explain_view_text(report, &explanation,
	                                      &(struct lp_text_options){.width = 80}, full),
	                 -ENOSPC);
	assert_int_equal(lp_explain_view_json(report, &explanation, full), -ENOSPC);
	lp_explanation_done(&explanation);
	fixture_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(texts),
	        cmocka_unit_test(json),
	        cmocka_unit_test(widths),
	        cmocka_unit_test(a_full_disk_is_told),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
