/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the readers of /proc take for granted, asked of the running kernel. */

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/scan.h"
#include "kernel/text.h"

static struct lp_kernel kernel = LP_KERNEL_NONE;

static int open_kernel(void **state)
{
	struct lp_error err = {0};
	(void)state;
	assert_ok(lp_kernel_open(&kernel, &err), err);
	return 0;
}

static int close_kernel(void **state)
{
	(void)state;
	lp_kernel_close(&kernel);
	return 0;
}

static bool exists(const char *path)
{
	return faccessat(kernel.proc, path, F_OK, 0) == 0;
}

static void machine_wide_sysctls_are_in_the_first_namespace_only(void **state)
{
	struct lp_error err = {0};
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_true(exists("sys/net/ipv4/tcp_mem") && exists("sys/net/ipv4/tcp_max_orphans"));
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	assert_false(exists("sys/net/ipv4/tcp_mem") || exists("sys/net/ipv4/tcp_max_orphans"));
	/* what a namespace has of its own is there */
	assert_true(exists("sys/net/ipv4/ip_local_port_range") &&
	            exists("sys/net/ipv4/ip_local_reserved_ports") &&
	            exists("sys/net/ipv4/tcp_tw_reuse") && exists("sys/net/ipv4/tcp_timestamps") &&
	            exists("sys/net/ipv4/tcp_max_tw_buckets"));
}

static uint32_t range_low(void)
{
	struct lp_snapshot snapshot = {0};
	struct lp_netns netns = {0};
	static struct lp_port_map map;
	must(lp_sysctl_read(&kernel, &snapshot, &netns, &map));
	assert_true(netns.range_low.known);
	return (uint32_t)netns.range_low.n;
}

static void *range_low_there(void *ns)
{
	static uint32_t low;
	low = setns(((struct lab_ns *)ns)->fd, CLONE_NEWNET) < 0 ? 0 : range_low();
	return &low;
}

/* The descriptor of /proc is one and the same: what is below sys/net is asked for at each open. */
static void sysctls_are_those_of_the_thread_that_opens(void **state)
{
	struct lp_error err = {0};
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_port_range", "11111 22222"), err);
	uint32_t here = range_low();
	assert_int_not_equal(here, 11111);

	pthread_t thread;
	void *there;
	assert_int_equal(pthread_create(&thread, NULL, range_low_there, &ns), 0);
	assert_int_equal(pthread_join(thread, &there), 0);
	assert_int_equal(*(uint32_t *)there, 11111);
	assert_int_equal(range_low(), here);

	_cleanup_(lp_close_fd) int before =
	        openat(kernel.proc, "sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC);
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	char text[64] = "";
	assert_true(read(before, text, sizeof(text) - 1) > 0);
	assert_int_equal(strtoul(text, NULL, 10), here);
	assert_int_equal(range_low(), 11111);
}

/* A small buffer loses what did not fit: that is why long lists are read again from the start. */
static void a_sysctl_gives_one_read(void **state)
{
	struct lp_error err = {0};
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_reserved_ports", "1,3,5,7,9,11"), err);
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel.proc, "sys/net/ipv4/ip_local_reserved_ports", O_RDONLY | O_CLOEXEC);
	char text[64];
	assert_int_equal(pread(fd, text, 4, 0), 4);
	assert_int_equal(pread(fd, text, 4, 4), 0);
	assert_true(pread(fd, text, sizeof(text), 0) > 4);
}

static void every_other_port_can_be_reserved_and_read(void **state)
{
	struct lp_error err = {0};
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	static struct lp_port_map map;
	static char text[7 * LP_PORTS];
	size_t length = 0;
	for (unsigned port = 1; port < LP_PORTS; port += 2)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
		                           length ? ",%u" : "%u", port);
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel.proc, "sys/net/ipv4/ip_local_reserved_ports", O_WRONLY | O_CLOEXEC);
	text[length++] = '\n';
	/* one write takes a page at most; those that go on add */
	for (size_t done = 0; done < length;)
		done += (size_t)must((int)write(fd, text + done, length - done));
	struct lp_snapshot snapshot = {0};
	struct lp_netns netns = {0};
	must(lp_sysctl_read(&kernel, &snapshot, &netns, &map));
	assert_int_equal(snapshot.n_gaps, 0);
	assert_int_equal(lp_port_count(&map, 0, 65535), 32768);
	assert_true(lp_port_get(&map, 65535));
	assert_false(lp_port_get(&map, 65534));
}

static void read_sockstat(const struct lab_ns *ns, uint64_t *in_use, uint64_t *allocated)
{
	struct lp_snapshot snapshot = {0};
	struct lp_netns netns = {0};
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(ns));
	must(lp_sockstat_read(&kernel, &snapshot, &netns));
	assert_true(netns.in_use4.known && snapshot.machine.tcp_allocated.known);
	*in_use = netns.in_use4.n;
	*allocated = snapshot.machine.tcp_allocated.n;
}

static void sockstat_is_of_the_thread_and_alloc_of_the_machine(void **state)
{
	enum { N = 500 };
	struct lp_error err = {0};
	uint64_t in_use, allocated;
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns busy = LAB_NS_NONE, idle = LAB_NS_NONE;
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	assert_ok(lab_ns_make(&busy, &err), err);
	assert_ok(lab_ns_make(&idle, &err), err);
	struct lab_addr from = lab_addr("127.0.0.1", 0);
	for (int i = 0; i < N; i++) {
		struct lab_how how = {.ns = &busy, .from = &from};
		int fd = must(lab_listen(&how, 1));
		must(lab_hold(&fds, fd));
	}
	read_sockstat(&busy, &in_use, &allocated);
	assert_int_equal(in_use, N);
	read_sockstat(&idle, &in_use, &allocated);
	assert_int_equal(in_use, 0);
	assert_true(allocated >= N);
}

static uint64_t count_listed(int dir)
{
	uint64_t n = 0;
	_cleanup_(lp_close_dir) DIR *listing =
	        fdopendir(must(openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	assert_non_null(listing);
	const struct dirent *entry;
	while ((entry = readdir(listing)))
		n += entry->d_name[0] != '.';
	return n;
}

static int open_many(void *data, int say)
{
	const unsigned *n = data;
	for (unsigned i = 0; i < *n; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return 1;
	lab_child_ready(say);
}

static int open_process(pid_t pid)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "%d", pid);
	return openat(kernel.proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Since Linux 6.2 (f1f1f2569901); before, sizes are 0 and descriptors are listed. */
static void the_size_of_fd_is_the_number_of_descriptors(void **state)
{
	(void)state;
	static const unsigned counts[] = {0, 1, 63, 64, 65, 300};
	assert_true(lp_fd_size_counts(&kernel));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned n = counts[i];
		_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
		must(lab_child_start(&child, open_many, &n));
		_cleanup_(lp_close_fd) int dir = must(open_process(child.pid));
		struct stat st;
		assert_int_equal(fstatat(dir, "fd", &st, 0), 0);
		assert_int_equal(st.st_size, count_listed(dir));
		assert_true((unsigned)st.st_size >= n);
	}
}

/* Descriptors 100 to 163; whoever started us may have left others open. */
static int collect(void *data, int dir, uint64_t number)
{
	uint64_t *bits = data;
	(void)dir;
	if (number >= 100 && number < 164)
		*bits |= UINT64_C(1) << (number - 100);
	return 0;
}

static void listing_descriptors_can_begin_at_a_number(void **state)
{
	(void)state;
	static const int numbers[] = {100, 101, 110, 150};
	static const uint64_t from[] = {100, 101, 111, 151};
	const uint64_t last = UINT64_C(1) << 50;
	const uint64_t wanted[] = {1 | 1 << 1 | 1 << 10 | last, 1 << 1 | 1 << 10 | last, last, 0};
	_cleanup_(lp_close_fd) int self = must(open_process(getpid()));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(dup2(0, numbers[i]), numbers[i]);
	for (size_t i = 0; i < 4; i++) {
		uint64_t seen = 0;
		must(lp_fd_each(self, from[i], collect, &seen));
		assert_true(seen == wanted[i]);
	}
	for (size_t i = 0; i < 4; i++)
		(void)close(numbers[i]);
}

struct limited {
	int limit, above; /* one descriptor is numbered so high */
	int go[2];        /* a pipe: a byte lets it open */
};

/* Says it is ready, waits until it was read, then opens until the kernel refuses. */
static int open_to_the_limit(void *data, int say)
{
	const struct limited *limited = data;
	struct rlimit limit = {(rlim_t)limited->limit, (rlim_t)limited->limit};
	int opened = 0;
	if (limited->above && dup2(say, limited->above) < 0)
		return 255;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || write(say, "r", 1) != 1)
		return 255;
	char byte;
	if (read(limited->go[0], &byte, 1) != 1)
		return 255;
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		opened++;
	return errno == EMFILE ? opened : 255;
}

static const struct lp_process *find(const struct lp_snapshot *snapshot, pid_t pid)
{
	for (size_t i = 0; i < snapshot->n_processes; i++)
		if (snapshot->processes[i].pid == pid)
			return &snapshot->processes[i];
	return NULL;
}

/* What is left of the limit is exactly what can be opened, whatever is numbered above it. */
static void the_limit_bounds_the_number_of_a_descriptor(void **state)
{
	(void)state;
	static const struct limited cases[] = {{.limit = 60},
	                                       {.limit = 60, .above = 60},
	                                       {.limit = 61, .above = 60},
	                                       {.limit = 60, .above = 900},
	                                       {.limit = 200, .above = 500}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct limited limited = cases[i];
		assert_int_equal(pipe2(limited.go, O_CLOEXEC), 0);
		_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
		_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
		must(lab_child_start(&child, open_to_the_limit, &limited));
		must(lp_process_read(&kernel, snapshot, NULL));
		const struct lp_process *process = find(snapshot, child.pid);
		assert_non_null(process);
		assert_int_equal(process->limit, limited.limit);
		uint64_t left = process->limit - process->descriptors;
		assert_int_equal(write(limited.go[1], "g", 1), 1);
		assert_int_equal(lab_child_wait(&child), left);
		(void)close(limited.go[0]);
		(void)close(limited.go[1]);
	}
}

static int lead_no_more(void *data, int say);

static void *go_on(void *say)
{
	/* the leader is a zombie soon; told by its state, not by time */
	char text[512];
	for (int i = 0; i < 1000000; i++) {
		struct lp_stat stat;
		if (lp_read_text(kernel.proc, "self/stat", text, sizeof(text)) > 0 &&
		    lp_stat_parse(text, &stat) == 0 && stat.state == 'Z')
			break;
		(void)sched_yield();
	}
	lab_child_ready(*(int *)say);
}

static int lead_no_more(void *data, int say)
{
	static int fd;
	pthread_t thread;
	(void)data;
	fd = say;
	if (pthread_create(&thread, NULL, go_on, &fd) != 0)
		return 1;
	pthread_exit(NULL);
}

static void a_process_outlives_its_first_thread(void **state)
{
	(void)state;
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	must(lab_child_start(&child, lead_no_more, NULL));
	_cleanup_(lp_close_fd) int dir = must(open_process(child.pid));
	struct stat st;
	assert_int_equal(fstatat(dir, "fd", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	must(lp_process_read(&kernel, snapshot, NULL));
	const struct lp_process *process = find(snapshot, child.pid);
	assert_non_null(process);
	assert_true(process->descriptors >= 3);
}

static void *wait_for_byte(void *fd)
{
	char byte;
	(void)!read(*(int *)fd, &byte, 1);
	return NULL;
}

static void the_links_of_task_count_threads(void **state)
{
	(void)state;
	enum { N = 5 };
	int ends[2];
	pthread_t threads[N];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_byte, &ends[0]), 0);
	struct stat st;
	assert_int_equal(fstatat(kernel.proc, "self/task", &st, 0), 0);
	(void)close(ends[1]);
	for (int i = 0; i < N; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)close(ends[0]);
	assert_int_equal(st.st_nlink, 2 + 1 + N);
	/* pthread_join() returns a moment before the kernel counts a thread no more */
	int64_t deadline = lp_clock_ns() + INT64_C(10000000000);
	do
		assert_int_equal(fstatat(kernel.proc, "self/task", &st, 0), 0);
	while (st.st_nlink != 2 + 1 && lp_clock_ns() < deadline);
	assert_int_equal(st.st_nlink, 2 + 1);
}

static void kernel_threads_are_told_by_their_flag(void **state)
{
	(void)state;
	char text[512];
	struct lp_stat stat;
	assert_true(lp_read_text(kernel.proc, "2/stat", text, sizeof(text)) > 0);
	must(lp_stat_parse(text, &stat));
	assert_true(stat.kernel_thread);
	assert_true(lp_read_text(kernel.proc, "self/stat", text, sizeof(text)) > 0);
	must(lp_stat_parse(text, &stat));
	assert_false(stat.kernel_thread);
	assert_int_equal(stat.state, 'R');
	assert_int_equal(stat.threads, 1);
}

/* That is no refusal: whoever gets it looks whether the process is still there. */
static void the_namespace_of_a_process_that_is_gone_is_refused(void **state)
{
	(void)state;
	unsigned none = 0;
	char text[64];
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, open_many, &none));
	_cleanup_(lp_close_fd) int dir = must(open_process(child.pid));
	_cleanup_(lp_close_fd) int link = openat(dir, "ns/net", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(readlinkat(link, "", text, sizeof(text)) > 0);
	lab_child_stop(&child);
	assert_int_equal(readlinkat(link, "", text, sizeof(text)), -1);
	assert_int_equal(errno, EACCES);
	const struct lp_task task = {.dir = dir};
	assert_false(lp_task_is_there(&task));
}

/* A merged slab is a link to the one that it shares: both have a size. */
static void slabs_tell_their_size(void **state)
{
	(void)state;
	struct lp_snapshot snapshot = {0};
	must(lp_machine_read(&kernel, &snapshot));
	const struct lp_machine *machine = &snapshot.machine;
	assert_true(machine->time_wait_size.known && machine->bind_bucket_size.known);
	assert_in_range(machine->time_wait_size.n, 128, 1024);
	assert_in_range(machine->bind_bucket_size.n, 32, 512);
	assert_int_equal(snapshot.n_gaps, 0);
}

static bool sees_ipv6(void)
{
	struct lp_snapshot snapshot = {0};
	struct lp_netns netns = {0};
	static struct lp_port_map map;
	must(lp_sysctl_read(&kernel, &snapshot, &netns, &map));
	return netns.has_ipv6;
}

/* Refused by nobody listening, not for want of an address. */
static bool can_connect_by_ipv6(void)
{
	struct lab_how how = {0};
	struct lab_addr to = lab_addr("::1", 9);
	return lab_connect(&how, &to) == -ECONNREFUSED;
}

static void without_an_address_there_is_no_ipv6(void **state)
{
	struct lp_error err = {0};
	(void)state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	assert_true(can_connect_by_ipv6());
	assert_true(sees_ipv6());
	assert_ok(lab_sysctl(NULL, &err, "ipv6/conf/all/disable_ipv6", "1"), err);
	assert_false(can_connect_by_ipv6());
	assert_false(sees_ipv6());
}

static int run_self_size(void *data, int say)
{
	(void)data;
	if (lab_become(65534, 65534) < 0)
		return 1;
	struct lp_snapshot *snapshot = lp_snapshot_new();
	if (!snapshot || lp_process_read(&kernel, snapshot, NULL) < 0)
		return 2;
	const struct lp_process *parent = find(snapshot, getppid());
	if (!parent)
		return 3;
	const uint64_t seen[2] = {parent->descriptors, parent->limit};
	if (write(say, seen, sizeof(seen)) != sizeof(seen))
		return 4;
	return 0;
}

/* The count and the limit of others' processes are for everybody; only listing is not. */
static void an_ordinary_user_sees_others_descriptors_counted(void **state)
{
	(void)state;
	struct lab_child child = LAB_CHILD_NONE;
	struct rlimit limit;
	uint64_t seen[2];
	must(lab_child_start(&child, run_self_size, NULL));
	assert_int_equal(read(child.said, seen, 16), 16);
	_cleanup_(lp_close_fd) int self = must(open_process(getpid()));
	uint64_t open = count_listed(self) - 1; /* the listing itself */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(lab_child_wait(&child), 0);
	assert_int_equal(seen[1], limit.rlim_cur);
	assert_in_range(seen[0], open - 3, open + 3); /* the pipe and our own look */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(machine_wide_sysctls_are_in_the_first_namespace_only),
	        cmocka_unit_test(sysctls_are_those_of_the_thread_that_opens),
	        cmocka_unit_test(a_sysctl_gives_one_read),
	        cmocka_unit_test(every_other_port_can_be_reserved_and_read),
	        cmocka_unit_test(sockstat_is_of_the_thread_and_alloc_of_the_machine),
	        cmocka_unit_test(the_size_of_fd_is_the_number_of_descriptors),
	        cmocka_unit_test(listing_descriptors_can_begin_at_a_number),
	        cmocka_unit_test(the_limit_bounds_the_number_of_a_descriptor),
	        cmocka_unit_test(a_process_outlives_its_first_thread),
	        cmocka_unit_test(the_links_of_task_count_threads),
	        cmocka_unit_test(kernel_threads_are_told_by_their_flag),
	        cmocka_unit_test(the_namespace_of_a_process_that_is_gone_is_refused),
	        cmocka_unit_test(slabs_tell_their_size),
	        cmocka_unit_test(without_an_address_there_is_no_ipv6),
	        cmocka_unit_test(an_ordinary_user_sees_others_descriptors_counted),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, open_kernel, close_kernel);
}
