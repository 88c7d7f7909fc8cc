/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/machine_file.h"

#include <errno.h>

#include "unit.h"

static struct lp_plan_machine read_of(const char *text, const char *netns)
{
	struct lp_plan_machine machine;
	struct lp_error err = {0};
	if (lp_machine_file_parse(text, netns, &machine, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return machine;
}

static void refused(const char *text, const char *netns, const char *word)
{
	struct lp_plan_machine machine;
	struct lp_error err = {0};
	assert_int_equal(lp_machine_file_parse(text, netns, &machine, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static void is(struct lp_figure figure, uint64_t n)
{
	assert_true(figure.known);
	assert_int_equal(figure.n, n);
}

static void as_sysctl_prints(void **state)
{
	(void)state;
	struct lp_plan_machine m = read_of("kernel.hostname = web\n"
	                                   "net.ipv4.ip_local_port_range = 32768\t60999\n"
	                                   "net.ipv4.ip_local_reserved_ports = 40000-40009,80\n"
	                                   "net.ipv4.tcp_tw_reuse = 1\r\n"
	                                   "net.netfilter.nf_conntrack_max = 262144\n"
	                                   "net.netfilter.nf_conntrack_count = 17\n"
	                                   "fs.file-nr = 2048\t0\t9223372036854775807\n",
	                                   NULL);
	is(m.ports, 28232 - 10);
	is(m.tw_reuse, 1);
	is(m.tw_reuse_delay_ms, 1000);
	is(m.conntrack_max, 262144);
	is(m.files, 2048);
	assert_true(m.tracks);
	assert_false(m.descriptors.known);
}

static void as_in_configuration(void **state)
{
	(void)state;
	struct lp_plan_machine m = read_of("# a comment = 1\n; net.core.somaxconn = 1\n[machine]\n"
	                                   "-net/ipv4/tcp_timestamps=0\n"
	                                   "  nofile=unlimited\nhz = 1000\nno equals sign\n"
	                                   "net.ipv4.tcp_tw_reuse_delay = 250\n"
	                                   "net.netfilter.nf_conntrack_max = 0\n",
	                                   NULL);
	is(m.timestamps, 0);
	is(m.tick_us, 1000);
	is(m.descriptors, UINT64_MAX);
	is(m.tw_reuse_delay_ms, 250);
	assert_false(m.conntrack_max.known);
	assert_false(m.somaxconn.known);
	assert_false(m.ports.known);
}

static const char status[] =
        "{\"schema\":1,\"limits\":["
        "{\"kind\":\"local-ports\",\"netns\":{\"inode\":5,\"name\":\"blue\"},\"scope\":"
        "{\"local\":\"0.0.0.0\",\"remote\":null,\"remote_port\":null},\"used\":0,"
        "\"capacity\":100,\"sustainable\":100.0},"
        "{\"kind\":\"local-ports\",\"netns\":{\"inode\":4,\"name\":\"host\"},\"scope\":"
        "{\"local\":\"10.0.0.1\",\"remote\":\"10.0.0.2\",\"remote_port\":80},\"used\":9,"
        "\"capacity\":20000,\"sustainable\":1.0},"
        "{\"kind\":\"local-ports\",\"netns\":{\"inode\":4,\"name\":\"host\"},\"scope\":"
        "{\"local\":\"0.0.0.0\",\"remote\":null,\"remote_port\":null},\"used\":0,"
        "\"capacity\":28000,\"sustainable\":451.3},"
        "{\"kind\":\"time-wait-buckets\",\"netns\":{\"inode\":4,\"name\":\"host\"},\"scope\":{},"
        "\"used\":7,\"capacity\":131072},"
        "{\"kind\":\"file-descriptors\",\"scope\":{\"pid\":1,\"command\":\"x\"},\"used\":1,"
        "\"capacity\":2},"
        "{\"kind\":\"file-descriptors\",\"scope\":{},\"used\":1000,\"capacity\":900000}]}";

static void as_status_saved(void **state)
{
	(void)state;
	struct lp_plan_machine m = read_of(status, NULL);
	is(m.ports, 28000);
	is(m.tw_reuse, 0);
	is(m.max_tw_buckets, 131072);
	is(m.time_wait, 7);
	is(m.file_max, 900000);
	is(m.files, 1000);
	assert_false(m.descriptors.known);
	m = read_of(status, "blue");
	is(m.ports, 100);
	is(m.tw_reuse, 1);
	is(m.tw_reuse_delay_ms, 1000);
	m = read_of(status, "4");
	is(m.ports, 28000);
	refused("{\"limits\":[]}", "blue", "no namespace 'blue'");
}

static void as_a_plan_saved(void **state)
{
	(void)state;
	struct lp_plan_machine m =
	        read_of(" {\"schema\":1,\"machine\":{\"net.ipv4.tcp_tw_reuse\":2,\"nofile\":1024,"
	                "\"net.ipv4.ip_local_port_range\":\"1024 65535\",\"ports\":64000,"
	                "\"hz\":250,\"tracks\":true}}",
	                NULL);
	is(m.ports, 64000);
	is(m.range_low, 1024);
	is(m.descriptors, 1024);
	is(m.tick_us, 4000);
	assert_true(m.tracks);
}

static void what_is_none(void **state)
{
	(void)state;
	refused("", NULL, "nothing that a plan uses");
	refused("root:x:0:0\n", NULL, "nothing that a plan uses");
	refused("{}", NULL, "nothing that a plan uses");
	refused("{\"limits\":", NULL, "not JSON");
	refused("net.ipv4.tcp_tw_reuse = maybe", NULL, "expected a number of 0 to 2");
	refused("net.ipv4.tcp_tw_reuse = 3", NULL, "expected a number of 0 to 2");
	refused("net.ipv4.ip_local_port_range = 5 4", NULL, "the first and the last port");
	refused("net.ipv4.ip_local_reserved_ports = x", NULL, "expected ports");
	refused("hz = 0", NULL, "ticks");
}

static void files_are_read(void **state)
{
	(void)state;
	struct lp_plan_machine machine;
	struct lp_error err = {0};
	assert_int_equal(lp_machine_file_read("/nowhere", NULL, &machine, &err), -EIO);
	assert_non_null(strstr(err.text, "/nowhere"));
	assert_int_equal(lp_machine_file_read("/dev/null", NULL, &machine, &err), -EINVAL);
	assert_int_equal(lp_machine_file_read("/", NULL, &machine, &err), -EIO);
	assert_int_equal(lp_machine_file_read("/dev/zero", NULL, &machine, &err), -EINVAL);
}

UNIT_MAIN(cmocka_unit_test(as_sysctl_prints), cmocka_unit_test(as_in_configuration),
          cmocka_unit_test(as_status_saved), cmocka_unit_test(as_a_plan_saved),
          cmocka_unit_test(what_is_none), cmocka_unit_test(files_are_read))
