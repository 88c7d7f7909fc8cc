/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lab's own packet filter and connection tracking do what they say, and counters are read. */

#include "check.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/conntrack_stats.h"
#include "tracked.h"

static void a_mistake_is_told_in_nfts_words(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_int_equal(lab_nft(&ns, &err, "no such command"), -EINVAL);
	assert_non_null(strstr(err.text, "syntax error"));
}

static void a_connection_has_an_entry(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	assert_int_equal(lab_conntrack_count(&t.ns, &err), 0);
	struct lab_how how = {.ns = &t.ns};
	struct lab_pair pair = LAB_PAIR_NONE;
	must(lab_pair_open(&how, &t.to, t.listener, &pair));
	struct lab_addr from = lab_addr_local(pair.client);
	struct lab_conntrack entry;
	assert_ok(lab_conntrack_find(&t.ns, &from, &t.to, &entry, &err), err);
	assert_int_equal(entry.tcp_state, TCP_CONNTRACK_ESTABLISHED);
	assert_true(entry.status & IPS_ASSURED);
	assert_true(entry.left_s > 86400);
	assert_int_equal(lab_conntrack_count(&t.ns, &err), 1);
	lab_addr_set_port(&from, (uint16_t)(lab_addr_port(&from) ^ 1));
	assert_int_equal(lab_conntrack_find(&t.ns, &from, &t.to, &entry, &err), -ENOENT);
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	untrack(&t);
}

static void entries_are_made_as_asked(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {.from = lab_addr("10.0.0.1", 2000),
	                                  .to = lab_addr("10.9.0.255", 80),
	                                  .ports = 400,
	                                  .n = 1001};
	assert_ok(lab_conntrack_fill(&t.ns, &fill, &err), err);
	assert_int_equal(lab_conntrack_count(&t.ns, &err), 1001);
	/* number 1000 is the 201st of the third destination */
	struct lab_addr from = lab_addr("10.0.0.1", 2200), to = lab_addr("10.9.1.1", 80);
	struct lab_conntrack entry;
	assert_ok(lab_conntrack_find(&t.ns, &from, &to, &entry, &err), err);
	assert_true(entry.status & IPS_ASSURED);
	assert_in_range(entry.left_s, 80000, 86400);
	from = lab_addr("10.0.0.1", 2201);
	assert_int_equal(lab_conntrack_find(&t.ns, &from, &to, &entry, &err), -ENOENT);
	/* a second time they are there already */
	assert_int_equal(lab_conntrack_fill(&t.ns, &fill, &err), -EEXIST);
	untrack(&t);
}

static void a_table_is_filled_to_the_last_entry(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {
	        .from = lab_addr("10.0.0.1", 2000), .to = lab_addr("10.9.0.1", 80), .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&t.ns, &fill, 3, &err), err);
	assert_int_equal(lab_conntrack_count(&t.ns, &err), lab_conntrack_max(&err) - 3);
	struct lab_how how = {.ns = &t.ns, .timeout_ms = 200};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_count made = lab_connect_many(&how, &t.to, 10, &fds);
	assert_int_equal(made.n, 3);
	assert_int_equal(made.error, ETIMEDOUT);
	struct lab_conntrack_stats stats;
	assert_ok(lab_conntrack_stats(&t.ns, &stats, &err), err);
	assert_in_range(stats.drop, 1, 2); /* its SYN may be sent again before it is given up */
	assert_int_equal(stats.early_drop, 0);
	/* what is not tracked needs no entry */
	assert_ok(lab_nft_untrack(&t.ns, lab_addr_port(&t.to), &err), err);
	must_count(lab_connect_many(&how, &t.to, 10, &fds), 10);
	untrack(&t);
}

/* What the reader tells of the calling thread's namespace. */
static struct lp_conntrack_counters read_counters(void)
{
	struct lp_error err = {0};
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	assert_ok(lp_kernel_open(&kernel, &err), err);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	struct lp_netns netns = {0};
	must(lp_conntrack_stats_read(&kernel, snapshot, &netns));
	if (snapshot->n_gaps)
		fail_msg("%s", snapshot->gaps[0].why);
	return netns.conntrack_counters;
}

static void set_admin(bool on)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	must((int)syscall(SYS_capget, &header, data));
	if (on)
		data[0].effective |= 1U << CAP_NET_ADMIN;
	else
		data[0].effective &= ~(1U << CAP_NET_ADMIN);
	must((int)syscall(SYS_capset, &header, data));
}

static void check_counters(const struct lab_conntrack_stats *told, unsigned drop)
{
	struct lp_conntrack_counters read = read_counters();
	assert_true(read.drop.known && read.insert_failed.known && read.found.known &&
	            read.early_drop.known && read.chain_too_long.known);
	assert_int_equal(read.drop.n, drop);
	assert_int_equal(read.drop.n, told->drop);
	assert_int_equal(read.insert_failed.n, told->insert_failed);
	assert_int_equal(read.found.n, told->found);
	assert_int_equal(read.early_drop.n, told->early_drop);
}

/* Drops from several processors, counted by ctnetlink and, for who may not ask it, by the text. */
static void counters_are_read_by_anybody(void **state)
{
	(void)state;
	enum { DROPS = 8 };
	struct lp_error err = {0};
	struct tracked t;
	track(&t);
	struct lab_conntrack_fill fill = {
	        .from = lab_addr("10.0.0.1", 2000), .to = lab_addr("10.9.0.1", 80), .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&t.ns, &fill, 0, &err), err);
	struct lab_how how = {.ns = &t.ns, .options = LAB_NONBLOCK};
	cpu_set_t all;
	must(sched_getaffinity(0, sizeof(all), &all));
	for (long cpu = 0; cpu < DROPS; cpu++) {
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET((size_t)(cpu % sysconf(_SC_NPROCESSORS_ONLN)), &one);
		must(sched_setaffinity(0, sizeof(one), &one));
		/* closed at once, so that it sends nothing again */
		_cleanup_(lab_fds_done) struct lab_fds fds = {0};
		must_count(lab_connect_many(&how, &t.to, 1, &fds), 1);
	}
	must(sched_setaffinity(0, sizeof(all), &all));
	struct lab_conntrack_stats told;
	assert_ok(lab_conntrack_stats(&t.ns, &told, &err), err);
	{
		_cleanup_(lab_leave) int home = must(lab_enter(&t.ns));
		(void)home;
		check_counters(&told, DROPS);
		set_admin(false);
		check_counters(&told, DROPS);
		set_admin(true);
	}
	untrack(&t);
}

static void a_router_translates_and_runs_out(void **state)
{
	(void)state;
	enum { FIRST = 2000, PORTS = 10 };
	struct lp_error err = {0};
	_cleanup_(lab_router_done) struct lab_router router = LAB_ROUTER_NONE;
	assert_ok(lab_ns_make(&router.client, &err), err);
	assert_ok(lab_ns_make(&router.router, &err), err);
	assert_ok(lab_ns_make(&router.server, &err), err);
	assert_ok(lab_router_join(&router, &err), err);
	assert_ok(lab_router_translate(&router, FIRST, FIRST + PORTS - 1, &err), err);

	struct lab_addr at = lab_addr(LAB_ROUTER_SERVER, 80);
	struct lab_how how = {.ns = &router.server, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 16));
	how = (struct lab_how){.ns = &router.client};
	struct lab_pair pair = LAB_PAIR_NONE;
	must(lab_pair_open(&how, &at, listener, &pair));
	struct lab_addr seen = lab_addr_remote(pair.server);
	char text[64];
	assert_string_equal(lab_addr_text(&seen, text, sizeof(text)), LAB_ROUTER_OUTSIDE);
	assert_in_range(lab_addr_port(&seen), FIRST, FIRST + PORTS - 1);
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));

	assert_ok(lab_nft_drop(&router.server, 81, &err), err);
	for (int i = 0; i < PORTS; i++)
		assert_int_equal(lab_router_try(&router, (uint16_t)(30000 + i), 81, &err), 1);
	assert_int_equal(lab_router_try(&router, 30000 + PORTS, 81, &err), 0);
	assert_ok(lab_nft_flush(&router.router, &err), err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_mistake_is_told_in_nfts_words),
	        cmocka_unit_test(a_connection_has_an_entry),
	        cmocka_unit_test(entries_are_made_as_asked),
	        cmocka_unit_test(a_table_is_filled_to_the_last_entry),
	        cmocka_unit_test(counters_are_read_by_anybody),
	        cmocka_unit_test(a_router_translates_and_runs_out),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
