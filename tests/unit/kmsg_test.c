/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records of the kernel log: lines of all versions, escapes, overruns, and those that are no sign.
 */

#include "kernel/kmsg.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

static int take(struct lp_kmsg *kmsg, const char *record, struct lp_log_entry *entry)
{
	*entry = (struct lp_log_entry){0};
	return lp_kmsg_take(kmsg, record, (ssize_t)strlen(record), entry);
}

static void each_line_of_each_version_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *message;
		enum lp_log_what what;
		uint64_t netns;
		const char *subject;
	} lines[] = {
	        {"nf_conntrack: table full, dropping packet", LP_LOG_CONNTRACK_FULL, 0, ""},
	        {"nf_conntrack: nf_conntrack: table full, dropping packet", LP_LOG_CONNTRACK_FULL,
	         0, ""},
	        {"nf_conntrack: nf_conntrack: table full in netns 4026532177, dropping packet",
	         LP_LOG_CONNTRACK_FULL, 4026532177, ""},
	        {"nf_ct_ftp: dropping packet: partial PORT 1+2", LP_LOG_CONNTRACK_HELPER, 0, "ftp"},
	        {"TCP: time wait bucket table overflow", LP_LOG_TIME_WAIT, 0, ""},
	        {"TCP: time wait bucket table overflow (CT12)", LP_LOG_TIME_WAIT, 0, ""},
	        {"TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.  "
	         "Check SNMP counters.",
	         LP_LOG_SYN_COOKIES, 0, "80"},
	        {"possible: TCP: Possible SYN flooding on port 8080. Dropping request.  Check SNMP "
	         "counters.",
	         LP_LOG_SYN_DROPS, 0, "8080"},
	        {"TCP: request_sock_TCP: Possible SYN flooding on port 127.0.0.1:80. Sending "
	         "cookies.",
	         LP_LOG_SYN_COOKIES, 0, "127.0.0.1:80"},
	        {"TCP: request_sock_TCPv6: Possible SYN flooding on port [2001:db8::1]:443. "
	         "Dropping request.",
	         LP_LOG_SYN_DROPS, 0, "[2001:db8::1]:443"},
	        {"ip_local_port_range: prefer different parity for start/end values.",
	         LP_LOG_RANGE_PARITY, 0, ""},
	        {"Out of socket memory", LP_LOG_TCP_MEMORY, 0, ""},
	        {"TCP: out of memory -- consider tuning tcp_mem", LP_LOG_TCP_MEMORY, 0, ""},
	        {"TCP: too many orphaned sockets", LP_LOG_ORPHANS, 0, ""},
	        {"TCP: too many of orphaned sockets", LP_LOG_ORPHANS, 0, ""},
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct lp_kmsg kmsg = {.fd = -1, .boot_ms = 1000000};
		struct lp_log_entry entry;
		char record[512];
		(void)snprintf(record, sizeof(record), "4,7,2500999,-;%s\n", lines[i].message);
		assert_int_equal(take(&kmsg, record, &entry), 1);
		assert_int_equal(entry.what, lines[i].what);
		assert_int_equal(entry.netns, lines[i].netns);
		assert_string_equal(entry.subject, lines[i].subject);
		assert_int_equal(entry.lines, 1);
		assert_int_equal(entry.first_ms, 1002500);
		assert_int_equal(entry.last_ms, 1002500);
	}
}

static void what_else_is_said_is_no_sign(void **state)
{
	(void)state;
	static const char *const others[] = {
	        /* a program wrote it: facility 1, which the kernel sees to */
	        "12,7,1,-;nf_conntrack: table full, dropping packet\n",
	        "6,7,1,-;eth0: link becomes ready\n",
	        "6,7,1,-;usb 1-1: new device\n SUBSYSTEM=nf_conntrack: table full\n",
	        "nf_conntrack: table full, dropping packet\n",
	        "4,7,;nf_conntrack: table full\n",
	        "4,7;nf_conntrack: table full\n",
	        "4,7,x,-;nf_conntrack: table full\n",
	        "-4,7,1,-;nf_conntrack: table full\n",
	        "4,18446744073709551616,1,-;nf_conntrack: table full\n",
	        ";",
	        "\n",
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct lp_kmsg kmsg = LP_KMSG_NONE;
		struct lp_log_entry entry;
		if (take(&kmsg, others[i], &entry) != 0)
			fail_msg("taken for a sign: %s", others[i]);
	}
}

/* Fields to come stand before the semicolon; a continued line has another flag. */
static void fields_of_later_kernels_are_passed_over(void **state)
{
	(void)state;
	struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry;
	assert_int_equal(
	        take(&kmsg, "4,7,1,c,caller=T12,new;TCP: too many orphaned sockets\n", &entry), 1);
	assert_int_equal(take(&kmsg, "4,8,1;TCP: too many orphaned sockets\n", &entry), 1);
}

static void escapes_are_undone(void **state)
{
	(void)state;
	struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry;
	assert_int_equal(take(&kmsg, "4,7,1,-;TCP: too many \\x6frphaned sockets\n", &entry), 1);
	assert_int_equal(
	        take(&kmsg, "4,8,1,-;Possible SYN flooding on port 8\\x1b\\x00\\xg. X\n", &entry),
	        1);
	assert_string_equal(entry.subject, "8\x1b\\x00\\xg");
}

static void overwritten_records_are_counted(void **state)
{
	(void)state;
	struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry;
	assert_int_equal(take(&kmsg, "6,100,1,-;x\n", &entry), 0);
	assert_int_equal(take(&kmsg, "6,105,1,-;x\n", &entry), 0); /* four without text */
	assert_int_equal(kmsg.lost, 0);
	assert_int_equal(lp_kmsg_take(&kmsg, NULL, -EPIPE, &entry), 0);
	assert_int_equal(take(&kmsg, "6,150,1,-;x\n", &entry), 0);
	assert_int_equal(kmsg.lost, 44);
	assert_int_equal(take(&kmsg, "6,151,1,-;x\n", &entry), 0);
	assert_int_equal(kmsg.lost, 44);
	assert_int_equal(lp_kmsg_take(&kmsg, NULL, -EAGAIN, &entry), -EAGAIN);
	assert_int_equal(lp_kmsg_take(&kmsg, NULL, -EIO, &entry), -EIO);
}

static void lines_held_back_are_counted_apart(void **state)
{
	(void)state;
	struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry;
	assert_int_equal(take(&kmsg, "4,7,1,-;net_ratelimit: 17 callbacks suppressed\n", &entry),
	                 0);
	assert_int_equal(take(&kmsg, "4,8,1,-;net_ratelimit: 3 callbacks suppressed\n", &entry), 0);
	assert_int_equal(
	        take(&kmsg, "4,9,1,-;set_local_port_range: 9 callbacks suppressed\n", &entry), 0);
	assert_int_equal(kmsg.suppressed, 20);
}

/* A record a read, as /dev/kmsg has it. */
static void a_log_is_read_to_its_end(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	static const char other[] = "6,1,1,-;x\n",
	                  sign[] = "4,2,1,-;TCP: too many orphaned sockets\n";
	const char *const records[] = {other, other, sign, other, sign};
	for (size_t i = 0; i < 5; i++)
		assert_true(send(ends[1], records[i], strlen(records[i]), 0) > 0);
	struct lp_kmsg kmsg = {.fd = ends[0]};
	struct lp_log_entry entry;
	unsigned left = 10;
	assert_int_equal(lp_kmsg_next(&kmsg, &left, &entry), 1);
	assert_int_equal(left, 7);
	left = 1;
	assert_int_equal(lp_kmsg_next(&kmsg, &left, &entry), 0);
	assert_int_equal(left, 0);
	left = 10;
	assert_int_equal(lp_kmsg_next(&kmsg, &left, &entry), 1);
	assert_int_equal(entry.what, LP_LOG_ORPHANS);
	assert_int_equal(lp_kmsg_next(&kmsg, &left, &entry), 0);
	assert_int_equal(close(ends[1]), 0);
	lp_kmsg_close(&kmsg);
}

static void a_log_that_is_not_there_says_so(void **state)
{
	(void)state;
	const struct lp_kernel nowhere = LP_KERNEL_NONE;
	struct lp_log log = {0};
	lp_kmsg_read(&nowhere, &log);
	assert_false(log.read);
	assert_int_equal(log.error, -ENOENT);
	assert_non_null(strstr(lp_log_unread(log.error), "/dev/kmsg"));
	assert_non_null(strstr(lp_log_unread(-EPERM), "dmesg_restrict"));
}

static struct lp_log_entry line(uint64_t netns, int64_t at_ms)
{
	return (struct lp_log_entry){.what = LP_LOG_CONNTRACK_FULL,
	                             .netns = netns,
	                             .lines = 1,
	                             .first_ms = at_ms,
	                             .last_ms = at_ms};
}

static void lines_that_say_the_same_are_one_entry(void **state)
{
	(void)state;
	struct lp_log log = {0};
	struct lp_log_entry a = line(1, 10), b = line(2, 20), again = line(1, 30);
	lp_log_add(&log, &a);
	lp_log_add(&log, &b);
	lp_log_add(&log, &again);
	assert_int_equal(log.n, 2);
	assert_int_equal(log.entries[0].netns, 1); /* the last said first */
	assert_int_equal(log.entries[0].lines, 2);
	assert_int_equal(log.entries[0].first_ms, 10);
	assert_int_equal(log.entries[0].last_ms, 30);
	assert_int_equal(log.entries[1].netns, 2);
	struct lp_log_entry other = line(1, 40);
	(void)snprintf(other.subject, sizeof(other.subject), "ftp");
	lp_log_add(&log, &other);
	assert_int_equal(log.n, 3);
}

static void the_longest_silent_gives_way(void **state)
{
	(void)state;
	struct lp_log log = {0};
	for (uint64_t i = 0; i < LP_LOG_ENTRIES + 2; i++) {
		struct lp_log_entry entry = line(100 + i, (int64_t)i),
		                    again = line(100, (int64_t)i);
		lp_log_add(&log, &entry);
		lp_log_add(&log, &again);
	}
	assert_int_equal(log.n, LP_LOG_ENTRIES);
	assert_int_equal(log.entries[0].netns, 100);
	assert_int_equal(log.entries[LP_LOG_ENTRIES - 1].netns, 103);
	assert_int_equal(log.crowded_out, 2);
}

UNIT_MAIN(cmocka_unit_test(each_line_of_each_version_is_known),
          cmocka_unit_test(what_else_is_said_is_no_sign),
          cmocka_unit_test(fields_of_later_kernels_are_passed_over),
          cmocka_unit_test(escapes_are_undone), cmocka_unit_test(overwritten_records_are_counted),
          cmocka_unit_test(lines_held_back_are_counted_apart),
          cmocka_unit_test(a_log_is_read_to_its_end),
          cmocka_unit_test(a_log_that_is_not_there_says_so),
          cmocka_unit_test(lines_that_say_the_same_are_one_entry),
          cmocka_unit_test(the_longest_silent_gives_way))
