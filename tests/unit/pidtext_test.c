/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parsers of the texts of one process. */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "kernel/scan.h"
#include "unit.h"

static void a_stat_is_read(void **state)
{
	(void)state;
	struct lp_stat stat;
	assert_int_equal(
	        lp_stat_parse("1234 (nginx) S 1 1 1 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 17 "
	                      "0 22\n",
	                      &stat),
	        0);
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.threads, 17);
	assert_false(stat.kernel_thread);
}

static void a_kernel_thread_is_told_by_its_flag(void **state)
{
	(void)state;
	struct lp_stat stat;
	assert_int_equal(
	        lp_stat_parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1",
	                      &stat),
	        0);
	assert_true(stat.kernel_thread);
}

static void a_command_may_hold_anything(void **state)
{
	(void)state;
	struct lp_stat stat;
	assert_int_equal(
	        lp_stat_parse("9 (a) Z 1 (b\n) R 1 1 1 0 -1 64 5 6 7 8 9 10 11 12 20 0 3 0 1",
	                      &stat),
	        0);
	assert_int_equal(stat.state, 'R');
	assert_int_equal(stat.threads, 3);
}

static void a_stat_cut_off_is_refused(void **state)
{
	(void)state;
	static const char whole[] = "1 (x) S 1 1 1 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 17 ";
	struct lp_stat stat = {.threads = 99};
	for (size_t length = 0; length + 1 < sizeof(whole) - 1; length++) {
		char text[sizeof(whole)];
		memcpy(text, whole, length);
		text[length] = '\0';
		assert_int_equal(lp_stat_parse(text, &stat), -EINVAL);
	}
	assert_int_equal(stat.threads, 99);
	assert_int_equal(lp_stat_parse(whole, &stat), 0);
	assert_int_equal(stat.threads, 17);
}

static const char limits_head[] =
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n";

static void limits_are(const char *line, uint64_t soft, uint64_t hard)
{
	char text[512];
	uint64_t n = 99, m = 98;
	(void)snprintf(text, sizeof(text), "%s%s", limits_head, line);
	assert_int_equal(lp_limits_parse(text, &n, &m), 0);
	assert_true(n == soft && m == hard);
}

static void no_limits(const char *line)
{
	char text[512];
	uint64_t n = 99, m = 98;
	(void)snprintf(text, sizeof(text), "%s%s", limits_head, line);
	assert_int_equal(lp_limits_parse(text, &n, &m), -EINVAL);
	assert_true(n == 99 && m == 98);
}

static void both_limits_are_read(void **state)
{
	(void)state;
	limits_are("Max open files            1024                 524288               files  \n",
	           1024, 524288);
	limits_are("Max open files            1024                 unlimited            files  \n",
	           1024, UINT64_MAX);
	limits_are("Max open files            unlimited            unlimited            files  \n",
	           UINT64_MAX, UINT64_MAX);
	limits_are("Max open files            0                    0                    files  \n",
	           0, 0);
	no_limits("");
	no_limits("Max open files            ");
	no_limits("Max open files            10");
	no_limits("Max open files            10 ");
	no_limits("Max open files            10                   20");
	no_limits("Max open files            unlimite");
	no_limits("Max open files            -1                   10                   files\n");
	no_limits("Max open files            10                   -1                   files\n");
	no_limits("Max open files            99999999999999999999 10                   files\n");
}

static void the_size_of_the_table_is_read(void **state)
{
	(void)state;
	uint64_t n = 99;
	assert_int_equal(lp_fd_size_parse("Name:\tFDSize:\nFDSize:\t256\nGroups:\t\n", &n), 0);
	assert_int_equal(n, 256);
	static const char *const wrong[] = {"",
	                                    "Name:\tx\n",
	                                    "FDSize:\t",
	                                    "FDSize:\t25",
	                                    "FDSize:\tx\n",
	                                    "FDSize:\t99999999999\n"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_fd_size_parse(wrong[i], &n), -EINVAL);
	assert_int_equal(n, 256);
}

static void a_namespace_link_is_read_whole(void **state)
{
	(void)state;
	uint64_t n = 99;
	assert_int_equal(lp_netns_link_parse("net:[4026532316]", &n), 0);
	assert_true(n == 4026532316);
	static const char *const wrong[] = {"",         "net:[]",   "net:[1",
	                                    "net:1]",   "mnt:[1]",  "net:[1]x",
	                                    "net:[-1]", "xnet:[1]", "net:[99999999999999999999]"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_netns_link_parse(wrong[i], &n), -EINVAL);
	assert_true(n == 4026532316);
}

static int mount_of(const char *line, struct lp_mount *mount)
{
	static char copy[512];
	assert_true(strlen(line) < sizeof(copy));
	memcpy(copy, line, strlen(line) + 1);
	return lp_mount_parse(copy, mount);
}

static void a_mount_is_taken_apart(void **state)
{
	(void)state;
	struct lp_mount mount;
	assert_int_equal(mount_of("120 30 0:4 net:[4026532316] /run/netns/a\\040b\\134 rw shared:7 "
	                          "master:1 - nsfs nsfs rw\n",
	                          &mount),
	                 0);
	assert_string_equal(mount.root, "net:[4026532316]");
	assert_string_equal(mount.point, "/run/netns/a b\\");
	assert_string_equal(mount.type, "nsfs");
	assert_string_equal(mount.options, "rw");
	/* no optional fields, and a source without a name */
	assert_int_equal(mount_of("1 0 0:1 / / rw - tmpfs  rw,size=1", &mount), 0);
	assert_string_equal(mount.type, "tmpfs");
	assert_string_equal(mount.options, "rw,size=1");
}

static void a_mount_cut_off_is_refused(void **state)
{
	(void)state;
	static const char whole[] = "120 30 0:4 net:[1] /x rw shared:7 - nsfs nsfs ";
	struct lp_mount mount;
	for (size_t length = 0; length + 1 < sizeof(whole) - 1; length++) {
		char text[sizeof(whole)];
		memcpy(text, whole, length);
		text[length] = '\0';
		assert_int_equal(mount_of(text, &mount), -EINVAL);
	}
	assert_int_equal(mount_of(whole, &mount), 0);
}

static bool hides(const char *point, const char *options)
{
	char line[256];
	struct lp_mount mount;
	(void)snprintf(line, sizeof(line), "1 0 0:1 / %s rw - proc proc %s", point, options);
	assert_int_equal(mount_of(line, &mount), 0);
	return lp_mount_hides_processes(&mount);
}

static void hidepid_is_told(void **state)
{
	(void)state;
	char of_group[64], of_others[64];
	(void)snprintf(of_group, sizeof(of_group), "rw,gid=%u,hidepid=2", getegid());
	(void)snprintf(of_others, sizeof(of_others), "rw,gid=%u,hidepid=2", 4000000000U);
	assert_true(hides("/proc", "rw,hidepid=2"));
	assert_true(hides("/proc", "rw,hidepid=invisible"));
	assert_true(hides("/proc", of_others));
	assert_false(hides("/proc", of_group));
	assert_false(hides("/proc", "rw"));
	assert_false(hides("/proc", "rw,hidepid=0"));
	assert_false(hides("/proc", "rw,hidepid=off"));
	assert_false(hides("/srv/proc", "rw,hidepid=2"));
}

static void inodes_are_numbered_as_they_come(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	struct lp_inode_map map = {0};
	size_t number;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < MANY; i++) {
			uint64_t inode = i / 2 + 4026531840, device = i % 2;
			assert_int_equal(lp_inode_map_add(&map, inode, device, &number), !pass);
			assert_int_equal(number, i);
		}
	assert_true(lp_inode_map_has(&map, 4026531840, 1));
	assert_false(lp_inode_map_has(&map, 4026531840, 2));
	assert_false(lp_inode_map_has(&map, 0, 0));
	assert_int_equal(lp_inode_map_add(&map, 0, 0, &number), 1);
	assert_int_equal(number, MANY);
	assert_true(lp_inode_map_has(&map, 0, 0));
	lp_inode_map_done(&map);
	assert_false(lp_inode_map_has(&map, 0, 0));
}

static void offsets_of_clocks_are_read(void **state)
{
	(void)state;
	static const int64_t s = 1000000000;
	static const struct {
		const char *text;
		int64_t monotonic, boottime;
	} right[] = {
	        {"monotonic           0         0\nboottime            0         0\n", 0, 0},
	        {"monotonic      500000         5\nboottime           -1 999999999\n",
	         500000 * s + 5, -1},
	        {"monotonic         -60         0\nboottime          -30         7\n", -60 * s,
	         -30 * s + 7},
	};
	static const char *const wrong[] = {
	        "",
	        "monotonic           0         0\n",
	        "monotonic           0\nboottime            0         0\n",
	        "monotonic           0 1000000000\nboottime            0         0\n",
	        "monotonic  9223372036         0\nboottime            0         0\n",
	        "monotonic           -         0\nboottime            0         0\n",
	        "monotonic           0         0\nboottime            0         0",
	};
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct lp_timens timens;
		assert_int_equal(lp_timens_parse(right[i].text, &timens), 0);
		assert_true(timens.monotonic_ns == right[i].monotonic);
		assert_true(timens.boottime_ns == right[i].boottime);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lp_timens timens = {.monotonic_ns = 77, .boottime_ns = 78};
		assert_int_equal(lp_timens_parse(wrong[i], &timens), -EINVAL);
		assert_true(timens.monotonic_ns == 77 && timens.boottime_ns == 78);
	}
}

UNIT_MAIN(cmocka_unit_test(offsets_of_clocks_are_read), cmocka_unit_test(a_stat_is_read),
          cmocka_unit_test(a_kernel_thread_is_told_by_its_flag),
          cmocka_unit_test(a_command_may_hold_anything),
          cmocka_unit_test(a_stat_cut_off_is_refused), cmocka_unit_test(both_limits_are_read),
          cmocka_unit_test(the_size_of_the_table_is_read),
          cmocka_unit_test(a_namespace_link_is_read_whole),
          cmocka_unit_test(a_mount_is_taken_apart), cmocka_unit_test(a_mount_cut_off_is_refused),
          cmocka_unit_test(hidepid_is_told), cmocka_unit_test(inodes_are_numbered_as_they_come))
