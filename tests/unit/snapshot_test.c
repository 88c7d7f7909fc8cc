/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/array.h"
#include "base/cleanup.h"
#include "snapshot/snapshot.h"
#include "unit.h"

static void an_array_doubles_and_keeps_what_it_has(void **state)
{
	(void)state;
	_cleanup_(lp_free_ptr) uint32_t *items = NULL;
	size_t room = 0, last = 0;
	unsigned grown = 0;
	for (uint32_t n = 0; n < 100000; n++) {
		assert_true(lp_array_grow(&items, &room, n, sizeof(*items)));
		assert_true(room > n);
		grown += room != last;
		last = room;
		items[n] = n;
	}
	for (uint32_t n = 0; n < 100000; n++)
		assert_int_equal(items[n], n);
	assert_in_range(grown, 10, 20); /* not once an element */
}

static void an_array_that_can_not_grow_stays_as_it_was(void **state)
{
	(void)state;
	_cleanup_(lp_free_ptr) char *items = NULL;
	size_t room = 0;
	assert_true(lp_array_grow(&items, &room, 0, 1));
	char *before = items;
	size_t room_before = room;
	assert_false(lp_array_grow(&items, &room, room, SIZE_MAX / 4));
	assert_ptr_equal(items, before);
	assert_int_equal(room, room_before);
}

static void a_figure_is_unknown_until_it_is_set(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	assert_false(netns.time_wait.known);
	netns.time_wait = lp_figure(0);
	assert_true(netns.time_wait.known);
	assert_int_equal(netns.time_wait.n, 0);
}

static void ports_are_counted_with_both_ends(void **state)
{
	(void)state;
	static struct lp_port_map map;
	for (uint32_t port = 0; port < LP_PORTS; port += 3)
		lp_port_set(&map, port);
	lp_port_set(&map, 65534);
	static const uint32_t bounds[] = {0, 1, 2, 3, 62, 63, 64, 65, 127, 128, 1000, 65534, 65535};
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
		for (size_t j = 0; j < sizeof(bounds) / sizeof(bounds[0]); j++) {
			uint32_t n = 0;
			for (uint32_t port = bounds[i]; port <= bounds[j]; port++)
				n += port % 3 == 0 || port == 65534;
			assert_int_equal(lp_port_count(&map, bounds[i], bounds[j]), n);
		}
}

static void the_same_gap_is_kept_once(void **state)
{
	(void)state;
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	assert_int_equal(lp_snapshot_gap(snapshot, "sockets", 1, "%d lost", 5), 0);
	assert_int_equal(lp_snapshot_gap(snapshot, "sockets", 1, "%d lost", 5), 0);
	assert_int_equal(snapshot->n_gaps, 1);
	assert_int_equal(lp_snapshot_gap(snapshot, "sockets", 2, "%d lost", 5), 0);
	assert_int_equal(lp_snapshot_gap(snapshot, "sockets", 1, "%d lost", 6), 0);
	assert_int_equal(lp_snapshot_gap(snapshot, "sysctls", 1, "%d lost", 5), 0);
	assert_int_equal(snapshot->n_gaps, 4);
	assert_string_equal(snapshot->gaps[2].why, "6 lost");
	assert_string_equal(snapshot->gaps[3].what, "sysctls");
	assert_int_equal(snapshot->gaps[1].netns, 2);
}

static void what_is_added_is_empty(void **state)
{
	(void)state;
	static const struct lp_netns no_netns;
	static const struct lp_process no_process;
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	for (size_t i = 1; i <= 1000; i++) {
		struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
		struct lp_process *process = lp_snapshot_add_process(snapshot);
		assert_memory_equal(netns, &no_netns, sizeof(no_netns));
		assert_memory_equal(process, &no_process, sizeof(no_process));
		netns->inode = i;
		process->pid = (pid_t)i;
	}
	assert_int_equal(snapshot->n_netns, 1000);
	assert_int_equal(snapshot->netns[0].inode, 1);
	assert_int_equal(snapshot->processes[999].pid, 1000);
}

static void the_sum_of_sockets_is_known_if_each_is(void **state)
{
	(void)state;
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	netns->in_use4 = lp_figure(3);
	netns->time_wait = lp_figure(40);
	assert_int_equal(lp_snapshot_sockets(snapshot).n, 43);
	netns->in_use6 = lp_figure(500);
	assert_true(lp_snapshot_sockets(snapshot).known);
	assert_int_equal(lp_snapshot_sockets(snapshot).n, 543);
	netns = lp_snapshot_add_netns(snapshot);
	netns->in_use4 = lp_figure(1);
	assert_false(lp_snapshot_sockets(snapshot).known);
	netns->time_wait = lp_figure(1);
	assert_int_equal(lp_snapshot_sockets(snapshot).n, 545);
}

static void ports_of_a_range_are_less_what_is_reserved(void **state)
{
	(void)state;
	struct lp_netns netns = {.reserved = 7};
	assert_int_equal(lp_netns_range_ports(&netns), 0);
	netns.range_low = lp_figure(32768);
	assert_int_equal(lp_netns_range_ports(&netns), 0);
	netns.range_high = lp_figure(60999);
	assert_int_equal(lp_netns_range_ports(&netns), 28225);
	netns.range_high = lp_figure(100);
	assert_int_equal(lp_netns_range_ports(&netns), 0);
}

static void every_state_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(lp_state_name(LP_ESTABLISHED), "established");
	assert_string_equal(lp_state_name(LP_TIME_WAIT), "time_wait");
	for (unsigned i = LP_ESTABLISHED; i < LP_STATES; i++)
		for (unsigned j = LP_ESTABLISHED; j < i; j++)
			assert_string_not_equal(lp_state_name(i), lp_state_name(j));
}

UNIT_MAIN(cmocka_unit_test(an_array_doubles_and_keeps_what_it_has),
          cmocka_unit_test(an_array_that_can_not_grow_stays_as_it_was),
          cmocka_unit_test(a_figure_is_unknown_until_it_is_set),
          cmocka_unit_test(ports_are_counted_with_both_ends),
          cmocka_unit_test(the_same_gap_is_kept_once), cmocka_unit_test(what_is_added_is_empty),
          cmocka_unit_test(the_sum_of_sockets_is_known_if_each_is),
          cmocka_unit_test(ports_of_a_range_are_less_what_is_reserved),
          cmocka_unit_test(every_state_has_its_name))
