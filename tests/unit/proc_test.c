/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parsers of /proc's texts. */

#include <errno.h>

#include "kernel/kernel.h"
#include "unit.h"

static const char sockstat[] = "sockets: used 13\n"
                               "TCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5\n"
                               "UDP: inuse 60 mem 70\n";

static void sockstat_is_read(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	struct lp_machine machine = {0};
	assert_int_equal(lp_sockstat_parse(sockstat, &netns, &machine), 0);
	assert_true(netns.in_use4.known && netns.time_wait.known);
	assert_int_equal(netns.in_use4.n, 1);
	assert_true(netns.sockets_used.known);
	assert_int_equal(netns.sockets_used.n, 13);
	assert_int_equal(machine.orphans.n, 2);
	assert_int_equal(netns.time_wait.n, 3);
	assert_int_equal(machine.tcp_allocated.n, 4);
	assert_int_equal(machine.tcp_pages.n, 5);
	assert_true(machine.orphans.known && machine.tcp_allocated.known &&
	            machine.tcp_pages.known);
}

static void a_figure_that_sockstat_does_not_have_stays_unknown(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	struct lp_machine machine = {0};
	assert_int_equal(lp_sockstat_parse("TCP: inuse 9 new 8\n", &netns, &machine), 0);
	assert_int_equal(netns.in_use4.n, 9);
	assert_false(netns.time_wait.known || machine.orphans.known || machine.tcp_pages.known);
}

static void sockstat_cut_anywhere_sets_nothing(void **state)
{
	(void)state;
	size_t end = (size_t)(strstr(sockstat, "UDP") - sockstat);
	for (size_t length = 0; length < end; length++) {
		char text[sizeof(sockstat)];
		struct lp_netns netns = {0};
		struct lp_machine machine = {0};
		memcpy(text, sockstat, length);
		text[length] = '\0';
		assert_int_equal(lp_sockstat_parse(text, &netns, &machine), -EINVAL);
		assert_false(netns.in_use4.known || netns.time_wait.known ||
		             machine.orphans.known || machine.tcp_pages.known);
	}
}

static void sockstat_not_to_be_understood_is_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"TCP: inuse\n",
	                                    "TCP: inuse x\n",
	                                    "TCP: inuse -1\n",
	                                    "TCP: inuse 1 orphan\n",
	                                    "TCP: inuse 18446744073709551616\n",
	                                    "TCP:inuse 1\n",
	                                    "TCP: inuse 1,\n",
	                                    " TCP: inuse 1\n",
	                                    "TCP6: inuse 1\n"};
	struct lp_netns netns = {0};
	struct lp_machine machine = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(lp_sockstat_parse(wrong[i], &netns, &machine) < 0);
	assert_false(netns.in_use4.known);
}

static void sockstat6_is_read(void **state)
{
	(void)state;
	struct lp_netns netns = {0};
	assert_int_equal(lp_sockstat6_parse("TCP6: inuse 77\nUDP6: inuse 8\n", &netns), 0);
	assert_int_equal(netns.in_use6.n, 77);
	assert_int_equal(lp_sockstat6_parse("TCP6: inuse 7", &netns), -EINVAL);
	assert_int_equal(lp_sockstat6_parse("UDP6: inuse 8\n", &netns), -EINVAL);
	assert_int_equal(netns.in_use6.n, 77);
}

static void a_range_is_two_ports_in_order(void **state)
{
	(void)state;
	uint32_t low = 1, high = 2;
	static const char *const wrong[] = {
	        "",      "1000",      "1000\t",           "1000\t99",    "1\t65536",
	        "-1\t5", "1000-2000", "1000\t2000\t3000", "1000\t2000x", "99999999999999999999\t5"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_range_parse(wrong[i], &low, &high), -EINVAL);
	assert_int_equal(low * 10 + high, 12);
	assert_int_equal(lp_range_parse("32768\t60999\n", &low, &high), 0);
	assert_int_equal(low, 32768);
	assert_int_equal(high, 60999);
	assert_int_equal(lp_range_parse("0\t0\n", &low, &high), 0);
	assert_int_equal(lp_range_parse("65535\t65535\n", &low, &high), 0);
	assert_int_equal(low, 65535);
}

static void a_port_list_is_added(void **state)
{
	(void)state;
	static struct lp_port_map map;
	lp_port_set(&map, 1);
	assert_int_equal(lp_port_list_parse("8080,9000-9010,65535\n", &map), 0);
	assert_int_equal(lp_port_count(&map, 0, 65535), 14);
	assert_true(lp_port_get(&map, 1) && lp_port_get(&map, 8080) && lp_port_get(&map, 9000) &&
	            lp_port_get(&map, 9010) && lp_port_get(&map, 65535));
	assert_int_equal(lp_port_list_parse("\n", &map), 0);
	assert_int_equal(lp_port_list_parse("", &map), 0);
	assert_int_equal(lp_port_count(&map, 0, 65535), 14);
	assert_int_equal(lp_port_list_parse("0-65535\n", &map), 0);
	assert_int_equal(lp_port_count(&map, 0, 65535), 65536);
}

static void what_is_no_port_list_adds_nothing(void **state)
{
	(void)state;
	static struct lp_port_map map;
	static const char *const wrong[] = {",",      "1,",    ",1",      "1,,2",  "1-",  "-1",
	                                    "5-4",    "65536", "1-65536", "1 2",   "1,x", "1-2-3",
	                                    "1,2\n3", "1,\n",  "0x10",    "1\n\n", " 1"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_port_list_parse(wrong[i], &map), -EINVAL);
	assert_int_equal(lp_port_count(&map, 0, 65535), 0);
}

static void the_file_table_is_read(void **state)
{
	(void)state;
	struct lp_machine machine = {0};
	static const char *const wrong[] = {
	        "", "450\t0\n", "450\t451\t9\n", "450\t0\t-9\n", "a\tb\tc\n", "450\t0\t9\t1\n"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(lp_file_nr_parse(wrong[i], &machine) < 0);
	assert_false(machine.file_allocated.known || machine.file_max.known);
	assert_int_equal(lp_file_nr_parse("450\t50\t9223372036854775807\n", &machine), 0);
	assert_int_equal(machine.file_allocated.n, 400);
	assert_true(machine.file_max.known && machine.file_max.n == INT64_MAX);
}

static void tcp_memory_is_read(void **state)
{
	(void)state;
	struct lp_machine machine = {0};
	static const char *const wrong[] = {"", "1\t2\n", "1\t2\tx\n", "1\t2\t3\t4\n"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(lp_tcp_mem_parse(wrong[i], &machine) < 0);
	assert_false(machine.tcp_pages_max.known || machine.tcp_pages_pressure.known);
	assert_int_equal(lp_tcp_mem_parse("287898\t383866\t575796\n", &machine), 0);
	assert_int_equal(machine.tcp_pages_pressure.n, 383866);
	assert_int_equal(machine.tcp_pages_max.n, 575796);
}

UNIT_MAIN(cmocka_unit_test(sockstat_is_read),
          cmocka_unit_test(a_figure_that_sockstat_does_not_have_stays_unknown),
          cmocka_unit_test(sockstat_cut_anywhere_sets_nothing),
          cmocka_unit_test(sockstat_not_to_be_understood_is_refused),
          cmocka_unit_test(sockstat6_is_read), cmocka_unit_test(a_range_is_two_ports_in_order),
          cmocka_unit_test(a_port_list_is_added),
          cmocka_unit_test(what_is_no_port_list_adds_nothing),
          cmocka_unit_test(the_file_table_is_read), cmocka_unit_test(tcp_memory_is_read))
