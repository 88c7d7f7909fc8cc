/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What connection tracking drops for, from its counters. */

#include "snapshot/drops.h"

#include "unit.h"

static struct lp_conntrack_counters counted(uint64_t drop, uint64_t failed, uint64_t found)
{
	return (struct lp_conntrack_counters){.drop = lp_figure(drop),
	                                      .insert_failed = lp_figure(failed),
	                                      .found = lp_figure(found)};
}

static void expect(const struct lp_conntrack_counters *counters, bool full,
                   enum lp_drop_cause cause, uint64_t packets)
{
	struct lp_drops drops;
	assert_true(lp_drops_tell(counters, full, &drops));
	for (int i = 0; i < LP_DROP_CAUSES; i++)
		assert_int_equal(drops.packets[i], (enum lp_drop_cause)i == cause ? packets : 0);
	assert_int_equal(drops.all, packets);
}

static void each_pattern_has_its_cause(void **state)
{
	(void)state;
	struct lp_conntrack_counters counters = counted(0, 0, 5000);
	expect(&counters, true, LP_DROP_CAUSES, 0);
	counters = counted(7, 0, 5000);
	expect(&counters, true, LP_DROP_TABLE_FULL, 7);
	expect(&counters, false, LP_DROP_OTHER, 7);
	counters = counted(7, 7, 7);
	expect(&counters, true, LP_DROP_CLASH, 7);
	counters = counted(7, 7, 7 * 248);
	expect(&counters, false, LP_DROP_NO_NAT_PORT, 7);
	counters = counted(0, 7, 0);
	counters.chain_too_long = lp_figure(7);
	expect(&counters, false, LP_DROP_BUCKET_FULL, 7);
	/* an entry that died before it was in counts as failed only: nothing is dropped for it */
	counters = counted(0, 7, 0);
	expect(&counters, false, LP_DROP_CAUSES, 0);
}

static void causes_come_together(void **state)
{
	(void)state;
	struct lp_drops drops;
	struct lp_conntrack_counters counters = counted(10, 6, 0);
	counters.chain_too_long = lp_figure(2);
	assert_true(lp_drops_tell(&counters, true, &drops));
	assert_int_equal(drops.packets[LP_DROP_BUCKET_FULL], 2);
	assert_int_equal(drops.packets[LP_DROP_CLASH], 4);
	assert_int_equal(drops.packets[LP_DROP_TABLE_FULL], 6);
	assert_int_equal(drops.all, 12);
	/* torn between two CPUs' rows: never more than were counted */
	counters = counted(3, 6, 0);
	counters.chain_too_long = lp_figure(20);
	assert_true(lp_drops_tell(&counters, true, &drops));
	assert_int_equal(drops.packets[LP_DROP_BUCKET_FULL], 6);
	assert_int_equal(drops.packets[LP_DROP_TABLE_FULL], 3);
}

static void what_is_not_counted_is_not_told(void **state)
{
	(void)state;
	struct lp_drops drops;
	struct lp_conntrack_counters counters = counted(7, 7, 0);
	counters.insert_failed.known = false;
	assert_false(lp_drops_tell(&counters, true, &drops));
	assert_int_equal(drops.all, 0);
	counters = (struct lp_conntrack_counters){0};
	assert_false(lp_drops_tell(&counters, true, &drops));
}

static bool told_full(struct lp_snapshot *snapshot, struct lp_netns *netns, bool growth)
{
	struct lp_drops drops;
	assert_true(lp_drops_of(snapshot, netns, growth, &drops));
	assert_int_equal(drops.all, 7);
	return drops.packets[LP_DROP_TABLE_FULL] == 7;
}

/* It is now, evictions tell, or a line of the log within the time in question. */
static void a_table_was_full_by_any_sign(void **state)
{
	(void)state;
	struct lp_snapshot snapshot = {.taken_at_ms = 100000, .apart_s = 10};
	struct lp_netns netns = {.inode = 42, .conntrack_max = lp_figure(1000)};
	netns.conntrack_entries = lp_figure(10);
	netns.conntrack_counters = netns.conntrack_growth = counted(7, 0, 0);
	assert_false(told_full(&snapshot, &netns, true));
	netns.conntrack_entries = lp_figure(980);
	assert_true(told_full(&snapshot, &netns, true));
	netns.conntrack_entries = lp_figure(979);
	assert_false(told_full(&snapshot, &netns, true));
	netns.conntrack_growth.early_drop = lp_figure(1);
	assert_true(told_full(&snapshot, &netns, true));
	assert_false(told_full(&snapshot, &netns, false));
	netns.conntrack_growth.early_drop = lp_figure(0);

	struct lp_log_entry line = {
	        .what = LP_LOG_CONNTRACK_FULL, .netns = 42, .lines = 1, .last_ms = 89999};
	lp_log_add(&snapshot.log, &line);
	assert_false(told_full(&snapshot, &netns, true));
	assert_true(told_full(&snapshot, &netns, false));
	snapshot.log.entries[0].last_ms = 90000;
	assert_true(told_full(&snapshot, &netns, true));
	snapshot.log.entries[0].netns = 43;
	assert_false(told_full(&snapshot, &netns, true));
	/* the first namespace's line names none */
	snapshot.log.entries[0].netns = 0;
	assert_false(told_full(&snapshot, &netns, true));
	netns.initial = true;
	assert_true(told_full(&snapshot, &netns, true));
}

UNIT_MAIN(cmocka_unit_test(each_pattern_has_its_cause), cmocka_unit_test(causes_come_together),
          cmocka_unit_test(what_is_not_counted_is_not_told),
          cmocka_unit_test(a_table_was_full_by_any_sign))
