/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the ledger remembers as people and programs get it, byte for byte. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "compare.h"
#include "view/ledger.h"

#define HOST     4026531840U
#define WEB      4026532001U
#define NAMELESS 4026532002U

static struct lp_address address(const char *text)
{
	struct lp_address ret;
	assert_int_equal(lp_address_parse(text, &ret), 0);
	return ret;
}

static struct lp_ledger_party party(pid_t pid, const char *command, uint64_t netns)
{
	struct lp_ledger_party ret = {.netns = {.inode = netns}, .cgroup_id = 4711, .pid = pid};
	(void)snprintf(ret.command, sizeof(ret.command), "%s", command);
	return ret;
}

static struct lp_netns_name names[] = {{{.inode = HOST}, (char *)"host"},
                                       {{.inode = WEB}, (char *)"web\033[2J"}};

static struct lp_ledger_facts quiet(void)
{
	return (struct lp_ledger_facts){
	        .since_ms = 1767225600000,
	        .tables = {{"sockets", 0, 524288, 0},
	                   {"owners", 0, 65536, 0},
	                   {"searches", 0, 8192, 0},
	                   {"refusals", 0, 16384, 0}},
	        .missed = {0, true},
	};
}

static struct lp_ledger_facts busy(void)
{
	static struct lp_ledger_actor actors[3];
	static struct lp_ledger_refusal refusals[3];
	static struct lp_ledger_search_times searches[2];
	actors[0] = (struct lp_ledger_actor){party(812, "nginx", WEB), 1, 281500, 0};
	actors[1] = (struct lp_ledger_actor){party(4194304, "\x1b[31mred", HOST), 1420, 12, 57};
	actors[2] = (struct lp_ledger_actor){party(7, "fifteen-letters", NAMELESS), 3, 0, 3};
	refusals[0] = (struct lp_ledger_refusal){.party = party(4194304, "\x1b[31mred", HOST),
	                                         .remote = address("10.0.0.2"),
	                                         .port = 80,
	                                         .refused = 57,
	                                         .first_ms = 1767225601000,
	                                         .last_ms = 1767225662000};
	refusals[1] = (struct lp_ledger_refusal){
	        .party = party(7, "fifteen-letters", NAMELESS),
	        .remote = address("2001:db8:1111:2222:3333:4444:5555:6666"),
	        .port = 65535,
	        .why = LP_REFUSAL_BOUND_PORT,
	        .refused = 2,
	        .first_ms = 1767225603000,
	        .last_ms = 1767225603500,
	};
	refusals[2] = refusals[1];
	refusals[2].why = LP_REFUSAL_NO_PORT;
	refusals[2].refused = 1;
	searches[0] = (struct lp_ledger_search_times){.netns = {.inode = HOST},
	                                              .remote = address("10.0.0.2"),
	                                              .port = 80,
	                                              .times = {[1] = 900, [4] = 90, [11] = 420},
	                                              .recent = {[11] = 400},
	                                              .total_ns = 980000000,
	                                              .unmeasured = 10};
	searches[1] = (struct lp_ledger_search_times){.netns = {.inode = WEB},
	                                              .remote = address("::1"),
	                                              .port = 443,
	                                              .times = {[23] = 1},
	                                              .total_ns = 9000000000};
	struct lp_ledger_facts facts = quiet();
	facts.lost_open = 3;
	facts.lost_time_wait = 1234;
	facts.unowned = 2;
	facts.missed.n = 5;
	facts.opened = 1424;
	facts.closed_first = 281512;
	facts.refused = 60;
	facts.tables[0].used = 281520;
	facts.tables[0].lost = 1237;
	facts.actors = actors;
	facts.n_actors = 3;
	facts.refusals = refusals;
	facts.n_refusals = 3;
	facts.searches = searches;
	facts.n_searches = 2;
	facts.names = names;
	facts.n_names = 2;
	return facts;
}

static void check_text(const char *name, const struct lp_ledger_facts *facts,
                       const struct lp_text_options *options)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_view_ledger_text(facts, options, out), 0);
	assert_int_equal(fclose(out), 0);
	golden_compare(name, text);
}

static void test_text(void **state)
{
	(void)state;
	const struct lp_ledger_facts none = quiet(), much = busy();
	check_text("ledger-quiet.txt", &none,
	           &(struct lp_text_options){.width = 80, .unicode = true, .rows = 10});
	check_text("ledger-80.txt", &much,
	           &(struct lp_text_options){.width = 80, .unicode = true, .rows = 10});
	check_text("ledger-narrow.txt", &much,
	           &(struct lp_text_options){.width = 50, .unicode = true, .rows = 2});
	check_text("ledger-colour.txt", &much,
	           &(struct lp_text_options){.width = 120, .unicode = true, .colour = true});
	check_text("ledger-ascii.txt", &much, &(struct lp_text_options){.width = 80});
}

static void check_json(const char *name, const struct lp_ledger_facts *facts)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(lp_view_ledger_json(facts, out), 0);
	assert_int_equal(fclose(out), 0);
	golden_compare(name, text);
}

static void test_json(void **state)
{
	(void)state;
	struct lp_ledger_facts none = quiet(), much = busy();
	none.missed.known = false;
	/* not .json: what status writes is */
	check_json("ledger-quiet-json.txt", &none);
	check_json("ledger-json.txt", &much);
}

static void test_writing_fails(void **state)
{
	(void)state;
	const struct lp_ledger_facts much = busy();
	const struct lp_text_options options = {.width = 80};
	FILE *full = fopen("/dev/full", "w");
	assert_non_null(full);
	assert_int_equal(lp_view_ledger_text(&much, &options, full), -ENOSPC);
	assert_int_equal(lp_view_ledger_json(&much, full), -ENOSPC);
	(void)fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_text),
	        cmocka_unit_test(test_json),
	        cmocka_unit_test(test_writing_fails),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
