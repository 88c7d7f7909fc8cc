/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configuration of sysctls on disk: which files, in which order, and what they say. */

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "folder.h"
#include "kernel/sysctl_conf.h"
#include "unit/unit.h"

struct world {
	struct folder folder;
	struct lp_snapshot *snapshot;
};
static struct world world;

static int begin(void **state)
{
	(void)state;
	folder_make(&world.folder);
	world.snapshot = lp_snapshot_new();
	return world.snapshot ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	lp_snapshot_free(world.snapshot);
	folder_done(&world.folder);
	return 0;
}

static const struct lp_settings *read_all(void)
{
	assert_int_equal(lp_sysctl_conf_read(&world.folder.kernel, world.snapshot), 0);
	assert_true(world.snapshot->settings.read);
	return &world.snapshot->settings;
}

static void file(const char *path, const char *text)
{
	folder_text(&world.folder, path, text);
}

static void is(const struct lp_setting *setting, const char *file, unsigned line, const char *key,
               const char *value)
{
	assert_non_null(setting);
	assert_string_equal(setting->file, file);
	assert_int_equal(setting->line, line);
	assert_string_equal(setting->key, key);
	assert_string_equal(setting->value, value);
}

static void nothing_is_there(void **state)
{
	(void)state;
	assert_int_equal(read_all()->n, 0);
	assert_null(world.snapshot->settings.unread);
}

static void lines_are_taken_as_they_are_by_others(void **state)
{
	(void)state;
	file("root/etc/sysctl.d/10-net.conf", "# net.ipv4.tcp_tw_reuse = 1\n"
	                                      "; the same\n"
	                                      "\n"
	                                      "net.ipv4.ip_local_port_range=1024\t 65000 \n"
	                                      "  - net/ipv4/tcp_fin_timeout =  15\n"
	                                      "net/ipv4/conf/eth0.1/rp_filter = 1\n"
	                                      "net.ipv4.conf.eth0/1.rp_filter = 2\r\n"
	                                      "-net.ipv4.conf.lo.rp_filter\n"
	                                      "vm.swappiness = 1\n"
	                                      "fs.file-max = 9\n"
	                                      "no setting\n"
	                                      "= 5\n"
	                                      "net.core.somaxconn = 4096");
	const struct lp_settings *settings = read_all();
	static const char path[] = "/etc/sysctl.d/10-net.conf";
	assert_int_equal(settings->n, 6);
	is(&settings->items[0], path, 4, "net/ipv4/ip_local_port_range", "1024 65000");
	is(&settings->items[1], path, 5, "net/ipv4/tcp_fin_timeout", "15");
	is(&settings->items[2], path, 6, "net/ipv4/conf/eth0.1/rp_filter", "1");
	is(&settings->items[3], path, 7, "net/ipv4/conf/eth0.1/rp_filter", "2");
	is(&settings->items[4], path, 10, "fs/file-max", "9");
	is(&settings->items[5], path, 13, "net/core/somaxconn", "4096");
	assert_int_equal(settings->items[2].loses_to, 4);
	assert_int_equal(settings->items[3].loses_to, 0);
}

static void folders_come_in_order_of_precedence(void **state)
{
	(void)state;
	file("root/usr/lib/sysctl.d/50-a.conf", "net.a = usr/lib\n");
	file("root/run/sysctl.d/50-a.conf", "net.a = run\n");
	file("root/etc/sysctl.d/90-b.conf", "net.a = etc\n");
	file("root/lib/sysctl.d/10-c.conf", "net.a = lib\n");
	file("root/usr/local/lib/sysctl.d/60-d.conf", "net.a = local\n");
	file("root/usr/lib/sysctl.d/60-d.conf", "net.a = hidden\n");
	file("root/etc/sysctl.d/README", "net.a = no\n");
	file("root/etc/sysctl.d/.hidden.conf", "net.a = no\n");
	const struct lp_settings *settings = read_all();
	assert_int_equal(settings->n, 4);
	is(&settings->items[0], "/lib/sysctl.d/10-c.conf", 1, "net/a", "lib");
	is(&settings->items[1], "/run/sysctl.d/50-a.conf", 1, "net/a", "run");
	is(&settings->items[2], "/usr/local/lib/sysctl.d/60-d.conf", 1, "net/a", "local");
	is(&settings->items[3], "/etc/sysctl.d/90-b.conf", 1, "net/a", "etc");
	is(lp_settings_find(settings, "net/a"), "/etc/sysctl.d/90-b.conf", 1, "net/a", "etc");
}

static void the_old_file_comes_last_and_once(void **state)
{
	(void)state;
	file("root/etc/sysctl.conf", "net.a = old\n");
	file("root/etc/sysctl.d/99-z.conf", "net.a = new\n");
	assert_string_equal(lp_settings_find(read_all(), "net/a")->value, "old");
	lp_settings_done(&world.snapshot->settings);
	/* Debian's link: then its name gives its place */
	folder_link(&world.folder, "root/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
	const struct lp_settings *settings = read_all();
	assert_int_equal(settings->n, 2);
	is(lp_settings_find(settings, "net/a"), "/etc/sysctl.d/99-z.conf", 1, "net/a", "new");
}

static void a_name_beats_a_pattern(void **state)
{
	(void)state;
	file("root/etc/sysctl.d/1.conf", "net.ipv4.tcp_tw_reuse = 1\n");
	file("root/etc/sysctl.d/2.conf", "net.ipv4.tcp_tw_* = 0\n");
	const struct lp_settings *settings = read_all();
	assert_string_equal(lp_settings_find(settings, "net/ipv4/tcp_tw_reuse")->value, "1");
	assert_string_equal(lp_settings_find(settings, "net/ipv4/tcp_tw_other")->value, "0");
	assert_null(lp_settings_find(settings, "net/ipv4/other"));
}

static void what_cannot_be_read_is_told(void **state)
{
	(void)state;
	static char large[LP_CONF_BYTES + 1];
	memset(large, '#', sizeof(large));
	folder_write(&world.folder, "root/etc/sysctl.d/1.conf", large, sizeof(large));
	folder_write(&world.folder, "root/etc/sysctl.d/2.conf", "net.a = 1\0\n", 11);
	file("root/etc/sysctl.d/3.conf", "net.a = 2\n");
	folder_link(&world.folder, "root/etc/sysctl.d/4.conf", "/dev/null");
	folder_link(&world.folder, "root/etc/sysctl.d/5.conf", "nowhere");
	folder_dir(&world.folder, "root/etc/sysctl.d/6.conf");
	const struct lp_settings *settings = read_all();
	assert_int_equal(settings->n, 1);
	assert_string_equal(settings->unread,
	                    "/etc/sysctl.d/1.conf can't be read (longer than it can be)");
	assert_int_equal(world.snapshot->n_gaps, 0);
}

static void a_pipe_does_not_hang(void **state)
{
	(void)state;
	folder_dir(&world.folder, "root/etc/sysctl.d");
	assert_int_equal(mkfifoat(world.folder.fd, "root/etc/sysctl.d/1.conf", 0600), 0);
	assert_int_equal(read_all()->n, 0);
}

static void what_the_kernel_has_is_beside_it(void **state)
{
	(void)state;
	file("root/etc/sysctl.d/1.conf", "net.ipv4.ip_local_port_range = 1024 65000\n"
	                                 "net.ipv4.tcp_tw_recycle = 1\n"
	                                 "net.ipv4.../../secret = 1\n");
	file("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
	file("proc/secret", "1\n");
	const struct lp_settings *settings = read_all();
	assert_null(settings->items[0].running); /* not the machine's first namespace */
	lp_settings_done(&world.snapshot->settings);
	file("proc/sys/net/ipv4/tcp_mem", "1 2 3\n");
	settings = read_all();
	assert_string_equal(settings->items[0].running, "32768 60999");
	assert_null(settings->items[1].running);
	assert_null(settings->items[2].running);
}

static void it_is_bounded(void **state)
{
	(void)state;
	_cleanup_(lp_free_ptr) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	for (int i = 0; i < LP_CONF_SETTINGS + 10; i++)
		(void)fprintf(out, "net.a%d = %d\n", i, i);
	assert_int_equal(fclose(out), 0);
	file("root/etc/sysctl.d/1.conf", text);
	assert_int_equal(read_all()->n, LP_CONF_SETTINGS);
}

static void without_a_root_nothing_is_said(void **state)
{
	(void)state;
	struct lp_kernel kernel = world.folder.kernel;
	kernel.root = -1;
	assert_int_equal(lp_sysctl_conf_read(&kernel, world.snapshot), 0);
	assert_false(world.snapshot->settings.read);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

UNIT_MAIN(CASE(nothing_is_there), CASE(lines_are_taken_as_they_are_by_others),
          CASE(folders_come_in_order_of_precedence), CASE(the_old_file_comes_last_and_once),
          CASE(a_name_beats_a_pattern), CASE(what_cannot_be_read_is_told),
          CASE(a_pipe_does_not_hang), CASE(what_the_kernel_has_is_beside_it), CASE(it_is_bounded),
          CASE(without_a_root_nothing_is_said))
