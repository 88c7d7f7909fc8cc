/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The counters of /proc/net/netstat and snmp: columns by name, whatever the kernel's order. */

#include "kernel/netstat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static void is(struct lp_figure figure, uint64_t n)
{
	assert_true(figure.known);
	assert_int_equal(figure.n, n);
}

static bool nothing_known(struct lp_tcp_counters *counters)
{
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++)
		if (lp_tcp_figure(counters, &lp_tcp_counter_list[i])->known)
			return false;
	return true;
}

static void a_figure_belongs_to_the_name_in_its_column(void **state)
{
	(void)state;
	struct lp_tcp_counters counters = {0}, turned = {0};
	assert_int_equal(lp_netstat_parse("TcpExt: TW ListenDrops ListenOverflows\n"
	                                  "TcpExt: 3 5 7\n",
	                                  &counters),
	                 0);
	is(counters.time_wait, 3);
	is(counters.listen_drops, 5);
	is(counters.listen_overflow, 7);
	assert_false(counters.paws_estab.known);
	assert_int_equal(lp_netstat_parse("TcpExt: New ListenOverflows ListenDrops TW\n"
	                                  "TcpExt: 9 7 5 3\n",
	                                  &turned),
	                 0);
	assert_memory_equal(&counters, &turned, sizeof(counters));
}

static void both_files_fill_one_struct(void **state)
{
	(void)state;
	struct lp_tcp_counters counters = {0};
	assert_int_equal(lp_netstat_parse("Ip: InReceives\nIp: 4\n"
	                                  "Tcp: RtoMin MaxConn ActiveOpens OutRsts\n"
	                                  "Tcp: 200 -1 130 18446744073709551615\n"
	                                  "UdpLite: InErrors\nUdpLite: 0\n",
	                                  &counters),
	                 0);
	assert_int_equal(lp_netstat_parse("TcpExt: TWRecycled\nTcpExt: 8\n"
	                                  "MPTcpExt: TW OutRsts\nMPTcpExt: 1 1\n",
	                                  &counters),
	                 0);
	is(counters.active_opens, 130);
	is(counters.out_rsts, UINT64_MAX);
	is(counters.time_wait_reused, 8);
	assert_false(counters.time_wait.known); /* MPTcpExt's is another one */
}

/* Every one has a name and a place of its own. */
static void each_counter_is_found(void **state)
{
	(void)state;
	char text[256];
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++) {
		const struct lp_tcp_counter *counter = &lp_tcp_counter_list[i];
		struct lp_tcp_counters counters = {0};
		assert_true(snprintf(text, sizeof(text), "%s A %s B\n%s 1 %zu 2\n", counter->table,
		                     counter->name, counter->table, i + 3) > 0);
		assert_int_equal(lp_netstat_parse(text, &counters), 0);
		is(*lp_tcp_figure(&counters, counter), i + 3);
		*lp_tcp_figure(&counters, counter) = (struct lp_figure){0};
		assert_true(nothing_known(&counters));
	}
	assert_int_equal(sizeof(struct lp_tcp_counters),
	                 LP_TCP_COUNTERS * sizeof(struct lp_figure));
}

static void what_is_torn_sets_nothing(void **state)
{
	(void)state;
	static const char whole[] = "TcpExt: TW ListenDrops\nTcpExt: 31 57\n";
	static const char *const wrong[] = {
	        "\n",
	        "Ip: InReceives\nIp: 4\n",
	        "TcpExt: New\nTcpExt: 4\n",
	        "TcpExt: TW\nTcpExt: x\n",
	        "TcpExt: TW\nTcpExt:\n",
	        "TcpExt: TW\nTcpExt: 1 2\n",
	        "TcpExt: TW ListenDrops\nTcpExt: 1\n",
	        "TcpExt: TW\nTcp: 1\n",
	        "TcpExt: TW\nTcpExt: 18446744073709551616\n",
	        "TcpExt: TW\nTcpExt: 1\nTcp: OutRsts\nTcp: -\n",
	};
	for (size_t length = 0; length < strlen(whole); length++) {
		char text[sizeof(whole)] = {0};
		struct lp_tcp_counters counters = {0};
		memcpy(text, whole, length);
		assert_int_equal(lp_netstat_parse(text, &counters), -EINVAL);
		assert_true(nothing_known(&counters));
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lp_tcp_counters counters = {0};
		assert_true(lp_netstat_parse(wrong[i], &counters) < 0);
		assert_true(nothing_known(&counters));
	}
}

static void growth_needs_two_looks_at_the_same(void **state)
{
	(void)state;
	struct lp_tcp_counters before = {.listen_overflow = lp_figure(5),
	                                 .time_wait = lp_figure(9),
	                                 .out_rsts = lp_figure(3)};
	struct lp_tcp_counters now = {.listen_overflow = lp_figure(12),
	                              .time_wait = lp_figure(8),
	                              .out_rsts = lp_figure(3),
	                              .paws_estab = lp_figure(1)};
	struct lp_tcp_counters growth = {.paws_estab = lp_figure(77)};
	lp_tcp_counters_growth(&before, &now, &growth);
	is(growth.listen_overflow, 7);
	is(growth.out_rsts, 0);
	assert_false(growth.time_wait.known);  /* went back: another namespace */
	assert_false(growth.paws_estab.known); /* was not known before */
}

UNIT_MAIN(cmocka_unit_test(a_figure_belongs_to_the_name_in_its_column),
          cmocka_unit_test(both_files_fill_one_struct), cmocka_unit_test(each_counter_is_found),
          cmocka_unit_test(what_is_torn_sets_nothing),
          cmocka_unit_test(growth_needs_two_looks_at_the_same))
