/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sysctls, sockstat and the machine's figures of recorded folders: healthy, old, torn, missing. */

#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "folder.h"
#include "kernel/netstat.h"
#include "unit/unit.h"

/* What a machine of Linux 6.18 says. */
static const struct {
	const char *path, *text;
} healthy[] = {
        {"proc/thread-self/net/sockstat", "sockets: used 13\n"
                                          "TCP: inuse 11 orphan 12 tw 13 alloc 14 mem 15\n"
                                          "UDP: inuse 0 mem 0\n"
                                          "UDPLITE: inuse 0\n"
                                          "RAW: inuse 0\n"
                                          "FRAG: inuse 0 memory 0\n"},
        {"proc/thread-self/net/sockstat6", "TCP6: inuse 16\n"
                                           "UDP6: inuse 0\n"
                                           "UDPLITE6: inuse 0\n"
                                           "RAW6: inuse 0\n"
                                           "FRAG6: inuse 0 memory 0\n"},
        {"proc/thread-self/net/netstat", "TcpExt: SyncookiesSent TW ListenOverflows\n"
                                         "TcpExt: 18 19 20\n"},
        {"proc/thread-self/net/snmp", "Ip: Forwarding\n"
                                      "Ip: 1\n"
                                      "Tcp: MaxConn ActiveOpens OutRsts\n"
                                      "Tcp: -1 21 22\n"},
        {"proc/thread-self/net/if_inet6",
         "00000000000000000000000000000001 01 80 10 80       lo\n"},
        {"proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"},
        {"proc/sys/net/ipv4/ip_local_reserved_ports", "8080,40000-40009,60999\n"},
        {"proc/sys/net/ipv4/tcp_tw_reuse", "2\n"},
        {"proc/sys/net/ipv4/tcp_tw_reuse_delay", "1234\n"},
        {"proc/sys/net/ipv4/tcp_timestamps", "1\n"},
        {"proc/sys/net/ipv4/tcp_max_tw_buckets", "131072\n"},
        {"proc/sys/net/ipv4/tcp_syncookies", "1\n"},
        {"proc/sys/net/ipv4/tcp_max_syn_backlog", "4096\n"},
        {"proc/sys/net/ipv4/tcp_mem", "287898\t383866\t575796\n"},
        {"proc/sys/net/ipv4/tcp_max_orphans", "65536\n"},
        {"proc/sys/net/netfilter/nf_conntrack_count", "17\n"},
        {"proc/sys/net/netfilter/nf_conntrack_max", "262144\n"},
        {"proc/sys/fs/file-nr", "450\t0\t2466165\n"},
        {"sys/kernel/slab/tw_sock_TCP/slab_size", "256\n"},
        {"sys/kernel/slab/:A-0000128/slab_size", "128\n"},
};
enum { N_HEALTHY = sizeof(healthy) / sizeof(healthy[0]) };

static void make_healthy(struct folder *folder)
{
	folder_make(folder);
	for (size_t i = 0; i < N_HEALTHY; i++)
		folder_text(folder, healthy[i].path, healthy[i].text);
	folder_link(folder, "sys/kernel/slab/tcp_bind_bucket", ":A-0000128");
}

struct reading {
	struct lp_snapshot *snapshot;
	struct lp_netns *netns;
	struct lp_port_map reserved;
};

static void read_all(const struct folder *folder, struct reading *reading)
{
	*reading = (struct reading){.snapshot = lp_snapshot_new()};
	assert_non_null(reading->snapshot);
	reading->netns = lp_snapshot_add_netns(reading->snapshot);
	assert_non_null(reading->netns);
	reading->netns->inode = 4026531840;
	struct lp_snapshot *snapshot = reading->snapshot;
	assert_int_equal(lp_sockstat_read(&folder->kernel, snapshot, reading->netns), 0);
	assert_int_equal(
	        lp_sysctl_read(&folder->kernel, snapshot, reading->netns, &reading->reserved), 0);
	assert_int_equal(lp_netstat_read(&folder->kernel, snapshot, reading->netns), 0);
	assert_int_equal(lp_machine_read(&folder->kernel, snapshot), 0);
}

static void reading_done(struct reading *reading)
{
	lp_snapshot_free(reading->snapshot);
}

/* The one figure that each file is read for first; NULL for those that tell a bool. */
static const struct lp_figure *figure_of(const struct reading *reading, size_t file)
{
	const struct lp_netns *netns = reading->netns;
	const struct lp_machine *machine = &reading->snapshot->machine;
	const struct lp_figure *const figures[N_HEALTHY] = {&netns->in_use4,
	                                                    &netns->in_use6,
	                                                    &netns->tcp_counters.listen_overflow,
	                                                    &netns->tcp_counters.active_opens,
	                                                    NULL,
	                                                    &netns->range_low,
	                                                    NULL,
	                                                    &netns->tw_reuse,
	                                                    &netns->tw_reuse_delay_ms,
	                                                    &netns->timestamps,
	                                                    &netns->max_tw_buckets,
	                                                    &netns->syncookies,
	                                                    &netns->max_syn_backlog,
	                                                    &machine->tcp_pages_max,
	                                                    &machine->max_orphans,
	                                                    &netns->conntrack_entries,
	                                                    &netns->conntrack_max,
	                                                    &machine->file_max,
	                                                    &machine->time_wait_size,
	                                                    &machine->bind_bucket_size};
	return figures[file];
}

static bool has_gap(const struct reading *reading, const char *about)
{
	for (size_t i = 0; i < reading->snapshot->n_gaps; i++)
		if (strstr(reading->snapshot->gaps[i].why, about))
			return true;
	return false;
}

/* As in a gap: "/proc/sys/fs/file-nr". */
static const char *name_of(size_t file)
{
	return strchr(healthy[file].path, '/');
}

static bool is_slab(size_t file)
{
	return !strncmp(healthy[file].path, "sys/", 4);
}

static void is(struct lp_figure figure, uint64_t n)
{
	assert_true(figure.known);
	assert_int_equal(figure.n, n);
}

static void a_healthy_machine_is_read_whole(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	read_all(&folder, &reading);
	const struct lp_netns *netns = reading.netns;
	const struct lp_machine *machine = &reading.snapshot->machine;
	is(netns->in_use4, 11);
	is(machine->orphans, 12);
	is(netns->time_wait, 13);
	is(machine->tcp_allocated, 14);
	is(machine->tcp_pages, 15);
	is(netns->in_use6, 16);
	is(netns->tcp_counters.cookies_sent, 18);
	is(netns->tcp_counters.time_wait, 19);
	is(netns->tcp_counters.listen_overflow, 20);
	is(netns->tcp_counters.active_opens, 21);
	is(netns->tcp_counters.out_rsts, 22);
	is(netns->range_low, 32768);
	is(netns->range_high, 60999);
	is(netns->tw_reuse, 2);
	is(netns->tw_reuse_delay_ms, 1234);
	is(netns->timestamps, 1);
	is(netns->max_tw_buckets, 131072);
	is(netns->syncookies, 1);
	is(netns->max_syn_backlog, 4096);
	is(netns->conntrack_entries, 17);
	is(netns->conntrack_max, 262144);
	is(machine->tcp_pages_pressure, 383866);
	is(machine->tcp_pages_max, 575796);
	is(machine->max_orphans, 65536);
	is(machine->file_allocated, 450);
	is(machine->file_max, 2466165);
	is(machine->time_wait_size, 256);
	is(machine->bind_bucket_size, 128);
	is(machine->page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	assert_true(netns->has_ipv6 && netns->initial);
	assert_int_equal(lp_port_count(&reading.reserved, 0, 65535), 12);
	assert_int_equal(netns->reserved, 11); /* 8080 is outside of the range */
	assert_true(machine->kernel[0] && machine->host[0]);
	assert_int_equal(reading.snapshot->n_gaps, 0);
}

/* What is missing is unknown, and no other figure moves. */
static void each_file_may_be_missing(void **state)
{
	(void)state;
	struct folder folder;
	make_healthy(&folder);
	for (size_t i = 0; i < N_HEALTHY; i++) {
		struct reading reading;
		folder_remove(&folder, healthy[i].path);
		read_all(&folder, &reading);
		for (size_t j = 0; j < N_HEALTHY; j++) {
			const struct lp_figure *figure = figure_of(&reading, j);
			bool defaulted = strstr(healthy[j].path, "tcp_tw_reuse_delay") != NULL;
			if (figure)
				assert_int_equal(figure->known, i != j || defaulted);
		}
		/* what every machine has, and nothing else, is missed */
		bool missed = strstr("/sys/net/ipv4/tcp_mem /sys/net/ipv4/tcp_max_orphans "
		                     "/sys/fs/file-nr /sys/net/ipv4/ip_local_port_range",
		                     name_of(i)) != NULL;
		assert_int_equal(reading.snapshot->n_gaps, missed);
		assert_int_equal(has_gap(&reading, name_of(i)), missed);
		lp_snapshot_free(reading.snapshot);
		folder_text(&folder, healthy[i].path, healthy[i].text);
	}
	folder_done(&folder);
}

static void before_6_14_time_wait_is_reused_after_a_second(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	folder_remove(&folder, "proc/sys/net/ipv4/tcp_tw_reuse_delay");
	read_all(&folder, &reading);
	is(reading.netns->tw_reuse_delay_ms, 1000);
	assert_int_equal(reading.snapshot->n_gaps, 0);
}

static void a_machine_without_ipv6_or_netfilter_is_whole(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	folder_remove(&folder, "proc/thread-self/net/sockstat6");
	folder_remove(&folder, "proc/thread-self/net/if_inet6");
	folder_remove(&folder, "proc/sys/net/netfilter");
	read_all(&folder, &reading);
	assert_false(reading.netns->has_ipv6 || reading.netns->in_use6.known);
	assert_false(reading.netns->conntrack_entries.known || reading.netns->conntrack_max.known);
	assert_int_equal(reading.snapshot->n_gaps, 0);
}

static void without_an_ipv6_address_there_is_no_ipv6(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	folder_text(&folder, "proc/thread-self/net/if_inet6", "");
	read_all(&folder, &reading);
	assert_false(reading.netns->has_ipv6);
	is(reading.netns->in_use6, 16);
}

static void conntrack_without_a_limit_has_no_capacity(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	folder_text(&folder, "proc/sys/net/netfilter/nf_conntrack_max", "0\n");
	read_all(&folder, &reading);
	is(reading.netns->conntrack_entries, 17);
	assert_false(reading.netns->conntrack_max.known);
	assert_int_equal(reading.snapshot->n_gaps, 0);
}

static void another_namespace_is_not_the_first(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	folder_remove(&folder, "proc/sys/net/ipv4/tcp_mem");
	read_all(&folder, &reading);
	assert_false(reading.netns->initial);
}

/* A file that is there and wrong: its figure unknown and told as a gap, the others as they were. */
static void check_wrong(const struct folder *folder, size_t file)
{
	struct reading reading;
	read_all(folder, &reading);
	const struct lp_figure *wrong = figure_of(&reading, file);
	assert_false(wrong && wrong->known);
	assert_int_equal(has_gap(&reading, name_of(file)), !is_slab(file));
	assert_int_equal(reading.snapshot->n_gaps, !is_slab(file));
	for (size_t j = 0; j < N_HEALTHY; j++) {
		const struct lp_figure *figure = figure_of(&reading, j);
		if (figure && j != file)
			assert_true(figure->known);
	}
	lp_snapshot_free(reading.snapshot);
}

/* if_inet6 tells by being there. */
static bool is_told_by_presence(size_t file)
{
	return strstr(healthy[file].path, "if_inet6") != NULL;
}

/* How much of a file must be there: of sockstat its line. */
static size_t needed(size_t file)
{
	const char *text = healthy[file].text;
	const char *line = strstr(text, "TCP");
	return line ? (size_t)(strchr(line, '\n') + 1 - text) : strlen(text);
}

static void each_file_may_be_cut_anywhere(void **state)
{
	(void)state;
	struct folder folder;
	make_healthy(&folder);
	for (size_t i = 0; i < N_HEALTHY; i++) {
		if (is_told_by_presence(i))
			continue;
		for (size_t length = 0; length < needed(i); length++) {
			folder_write(&folder, healthy[i].path, healthy[i].text, length);
			check_wrong(&folder, i);
		}
		folder_text(&folder, healthy[i].path, healthy[i].text);
	}
	folder_done(&folder);
}

static void each_file_may_be_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} wrong[] = {{"\n", 1},
	             {"1\0002\n", 4},
	             {"18446744073709551616\n", 21},
	             {"TCP: inuse 99999999999999999999\nTCP6: inuse 99999999999999999999\n", 66},
	             {"-1\n", 3},
	             {"\xff\xfe\xfd\n", 4},
	             {" \t \n", 4},
	             {"1 2 3 4 5\n", 10}};
	struct folder folder;
	make_healthy(&folder);
	for (size_t i = 0; i < N_HEALTHY; i++) {
		bool list = strstr(healthy[i].path, "reserved") != NULL;
		for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
			if (is_told_by_presence(i) || (list && j == 0))
				continue; /* no port reserved is an empty line */
			folder_write(&folder, healthy[i].path, wrong[j].bytes, wrong[j].size);
			check_wrong(&folder, i);
		}
		folder_text(&folder, healthy[i].path, healthy[i].text);
	}
	folder_done(&folder);
}

static void each_file_may_be_too_long(void **state)
{
	(void)state;
	enum { SIZE = 2 << 20 };
	struct folder folder;
	make_healthy(&folder);
	char *bytes = malloc(SIZE);
	assert_non_null(bytes);
	memset(bytes, '1', SIZE);
	bytes[SIZE - 1] = '\n';
	for (size_t i = 0; i < N_HEALTHY; i++) {
		if (is_told_by_presence(i))
			continue;
		folder_write(&folder, healthy[i].path, bytes, SIZE);
		check_wrong(&folder, i);
		folder_text(&folder, healthy[i].path, healthy[i].text);
	}
	free(bytes);
	folder_done(&folder);
}

static void each_file_may_refuse(void **state)
{
	(void)state;
	struct folder folder;
	make_healthy(&folder);
	for (size_t i = 0; i < N_HEALTHY; i++) {
		if (is_told_by_presence(i))
			continue;
		/* reading a folder fails with EISDIR, whoever asks */
		folder_remove(&folder, healthy[i].path);
		folder_dir(&folder, healthy[i].path);
		check_wrong(&folder, i);
		folder_remove(&folder, healthy[i].path);
		folder_text(&folder, healthy[i].path, healthy[i].text);
	}
	folder_done(&folder);
}

static void many_reserved_ports_are_read_to_the_end(void **state)
{
	(void)state;
	struct folder folder;
	struct reading reading;
	size_t size = 0, room = 7 * LP_PORTS;
	char *text = malloc(room);
	assert_non_null(text);
	for (unsigned port = 1; port < LP_PORTS; port += 2)
		size += (size_t)snprintf(text + size, room - size, size ? ",%u" : "%u", port);
	text[size++] = '\n';
	make_healthy(&folder);
	folder_write(&folder, "proc/sys/net/ipv4/ip_local_reserved_ports", text, size);
	read_all(&folder, &reading);
	assert_int_equal(lp_port_count(&reading.reserved, 0, 65535), 32768);
	assert_int_equal(reading.netns->reserved, (60999 - 32768 + 1) / 2);
	assert_int_equal(reading.snapshot->n_gaps, 0);
	lp_snapshot_free(reading.snapshot);
	free(text);
	folder_done(&folder);
}

static void without_sys_the_slabs_are_unknown(void **state)
{
	(void)state;
	_cleanup_(folder_done) struct folder folder;
	_cleanup_(reading_done) struct reading reading;
	make_healthy(&folder);
	assert_int_equal(close(folder.kernel.sys), 0);
	folder.kernel.sys = -1;
	read_all(&folder, &reading);
	assert_false(reading.snapshot->machine.time_wait_size.known ||
	             reading.snapshot->machine.bind_bucket_size.known);
	assert_int_equal(reading.snapshot->n_gaps, 0);
}

UNIT_MAIN(cmocka_unit_test(a_healthy_machine_is_read_whole),
          cmocka_unit_test(each_file_may_be_missing),
          cmocka_unit_test(before_6_14_time_wait_is_reused_after_a_second),
          cmocka_unit_test(a_machine_without_ipv6_or_netfilter_is_whole),
          cmocka_unit_test(without_an_ipv6_address_there_is_no_ipv6),
          cmocka_unit_test(conntrack_without_a_limit_has_no_capacity),
          cmocka_unit_test(another_namespace_is_not_the_first),
          cmocka_unit_test(each_file_may_be_cut_anywhere), cmocka_unit_test(each_file_may_be_wrong),
          cmocka_unit_test(each_file_may_be_too_long), cmocka_unit_test(each_file_may_refuse),
          cmocka_unit_test(many_reserved_ports_are_read_to_the_end),
          cmocka_unit_test(without_sys_the_slabs_are_unknown))
