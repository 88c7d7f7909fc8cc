/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes and namespaces of a recorded /proc. There the size of PID/fd says nothing, as before
 * Linux 6.2, so the descriptors are listed; and the files under ns/ are plain ones.
 */

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "folder.h"
#include "kernel/scan.h"
#include "unit/unit.h"

enum { USER_FLAGS = 4194304, KERNEL_THREAD_FLAGS = 2129984 };

static const char *below(const char *base, const char *name)
{
	static char path[256];
	(void)snprintf(path, sizeof(path), "proc/%s/%s", base, name);
	return path;
}

static void add_stat(const struct folder *folder, const char *base, char state, unsigned flags,
                     unsigned threads)
{
	char text[256];
	(void)snprintf(text, sizeof(text),
	               "%s (x) %c 1 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 %u 0 1 0 0\n", base, state,
	               flags, threads);
	folder_text(folder, below(base, "stat"), text);
}

static void add_limit(const struct folder *folder, const char *base, unsigned limit)
{
	char text[256];
	(void)snprintf(text, sizeof(text),
	               "Limit                     Soft Limit           Hard Limit           Units\n"
	               "Max open files            %-20u %-20u files     \n",
	               limit, limit);
	folder_text(folder, below(base, "limits"), text);
}

static void add_fd(const struct folder *folder, const char *base, unsigned number,
                   const char *target)
{
	char name[32];
	(void)snprintf(name, sizeof(name), "fd/%u", number);
	folder_link(folder, below(base, name), target);
}

/* A process with descriptors 0 to n - 1, in a namespace of its own. */
static void add_process(const struct folder *folder, const char *base, const char *command,
                        unsigned n, unsigned limit)
{
	folder_text(folder, below(base, "comm"), command);
	add_stat(folder, base, 'S', USER_FLAGS, 1);
	add_limit(folder, base, limit);
	folder_dir(folder, below(base, "fd"));
	for (unsigned i = 0; i < n; i++)
		add_fd(folder, base, i, "/dev/null");
	folder_text(folder, below(base, "ns/net"), "");
	folder_text(folder, below(base, "ns/mnt"), "");
}

/* All processes are in one namespace when all files under ns/ are the same one. */
static void share(const struct folder *folder, const char *base, const char *with, const char *kind)
{
	char from[256], name[32];
	(void)snprintf(name, sizeof(name), "ns/%s", kind);
	(void)snprintf(from, sizeof(from), "proc/%s/%s", with, name);
	const char *to = below(base, name);
	(void)unlinkat(folder->fd, to, 0);
	assert_int_equal(linkat(folder->fd, from, folder->fd, to, 0), 0);
}

static uint64_t inode_of(const struct folder *folder, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(folder->fd, path, &st, 0), 0);
	return st.st_ino;
}

static const struct lp_process *find(const struct lp_snapshot *snapshot, pid_t pid)
{
	for (size_t i = 0; i < snapshot->n_processes; i++)
		if (snapshot->processes[i].pid == pid)
			return &snapshot->processes[i];
	return NULL;
}

static struct lp_snapshot *read_processes(const struct folder *folder)
{
	struct lp_snapshot *snapshot = lp_snapshot_new();
	assert_int_equal(lp_process_read(&folder->kernel, snapshot, NULL), 0);
	return snapshot;
}

static void descriptors_are_those_below_the_limit(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	folder_dir(&folder, "proc/self/fd"); /* a folder has a size, which counts nothing */
	add_process(&folder, "812", "nginx\n", 7, 1024);
	add_process(&folder, "813", "above\n", 7, 5);
	add_fd(&folder, "813", 1000, "/dev/null");
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
	assert_int_equal(snapshot->n_processes, 2);
	assert_string_equal(find(snapshot, 812)->command, "nginx");
	assert_int_equal(find(snapshot, 812)->descriptors, 7);
	assert_int_equal(find(snapshot, 812)->limit, 1024);
	assert_int_equal(find(snapshot, 813)->descriptors, 5);
	assert_int_equal(find(snapshot, 813)->limit, 5);
	assert_int_equal(snapshot->n_gaps, 0);
	folder_done(&folder);
}

static void kernel_threads_and_the_dead_are_left_out(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	add_process(&folder, "2", "kthreadd\n", 0, 1024);
	add_stat(&folder, "2", 'S', KERNEL_THREAD_FLAGS, 1);
	add_process(&folder, "3", "zombie\n", 0, 1024);
	add_stat(&folder, "3", 'Z', USER_FLAGS, 1);
	add_process(&folder, "4", "closed-all\n", 0, 1024);
	folder_dir(&folder, "proc/acpi");
	folder_dir(&folder, "proc/99x");
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
	assert_int_equal(snapshot->n_processes, 1);
	assert_string_equal(find(snapshot, 4)->command, "closed-all");
	assert_int_equal(find(snapshot, 4)->descriptors, 0);
	assert_int_equal(snapshot->n_gaps, 0);
	folder_done(&folder);
}

/* pthread_exit() in main(): /proc/PID/fd is empty, while the other threads go on. */
static void a_process_outlives_its_first_thread(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	add_process(&folder, "50", "gone\n", 0, 1024);
	add_stat(&folder, "50", 'Z', USER_FLAGS, 2);
	folder_dir(&folder, "proc/50/task/50/fd");
	add_process(&folder, "50/task/51", "worker\n", 9, 1024);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
	assert_int_equal(snapshot->n_processes, 1);
	assert_string_equal(find(snapshot, 50)->command, "worker");
	assert_int_equal(find(snapshot, 50)->descriptors, 9);
	folder_done(&folder);
}

static void a_process_that_ends_meanwhile_is_no_gap(void **state)
{
	(void)state;
	static const char *const parts[] = {"fd", "limits", "comm", "stat"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct folder folder;
		folder_make(&folder);
		add_process(&folder, "10", "stays\n", 1, 1024);
		add_process(&folder, "11", "goes\n", strcmp(parts[i], "stat") ? 1 : 0, 1024);
		folder_remove(&folder, below("11", parts[i]));
		_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
		assert_int_equal(snapshot->n_processes, 1);
		assert_non_null(find(snapshot, 10));
		assert_int_equal(snapshot->n_gaps, 0);
		folder_done(&folder);
	}
}

static void a_process_not_to_be_understood_is_a_gap(void **state)
{
	(void)state;
	static const char *const parts[] = {"limits", "stat"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct folder folder;
		folder_make(&folder);
		add_process(&folder, "10", "well\n", 1, 1024);
		add_process(&folder, "11", "torn\n", strcmp(parts[i], "stat") ? 1 : 0, 1024);
		folder_text(&folder, below("11", parts[i]), "11 (to");
		_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
		assert_int_equal(snapshot->n_processes, 1);
		assert_int_equal(snapshot->n_gaps, 1);
		assert_string_equal(snapshot->gaps[0].what, "processes");
		assert_non_null(strstr(snapshot->gaps[0].why, "11"));
		folder_done(&folder);
	}
}

static void commands_are_safe_to_print(void **state)
{
	(void)state;
	struct folder folder;
	folder_make(&folder);
	add_process(&folder, "10", "a\x1b[31m\nb\n", 1, 1024);
	add_process(&folder, "11", "fifteen-and-mo\xc3\xbc\n", 1, 1024);
	add_process(&folder, "12", "no-newline", 1, 1024);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
	assert_string_equal(find(snapshot, 10)->command, "a?[31m?b");
	assert_string_equal(find(snapshot, 11)->command, "fifteen-and-mo?");
	assert_string_equal(find(snapshot, 12)->command, "no-newline");
	folder_done(&folder);
}

/* ---- namespaces --------------------------------------------------------------------------- */

struct search {
	struct folder folder;
	struct lp_snapshot *snapshot;
	struct lp_netns_list list;
};

/* The caller is process 100. */
static void search_make(struct search *search)
{
	*search = (struct search){.snapshot = lp_snapshot_new()};
	folder_make(&search->folder);
	add_process(&search->folder, "100", "caller\n", 3, 1024);
	folder_dir(&search->folder, "proc/thread-self/ns");
	share(&search->folder, "thread-self", "100", "net");
}

static void search_run(struct search *search)
{
	assert_int_equal(
	        lp_netns_list_read(&search->folder.kernel, search->snapshot, &search->list), 0);
}

static void search_done(struct search *search)
{
	lp_netns_list_done(&search->list);
	lp_snapshot_free(search->snapshot);
	folder_done(&search->folder);
}

static const struct lp_netns_place *place_of(const struct search *search, uint64_t inode)
{
	const struct lp_netns_place *found = NULL;
	for (size_t i = 0; i < search->list.n; i++) {
		if (search->list.items[i].inode != inode)
			continue;
		assert_null(found); /* each once */
		found = &search->list.items[i];
	}
	return found;
}

static bool has_gap(const struct search *search, const char *why)
{
	for (size_t i = 0; i < search->snapshot->n_gaps; i++)
		if (strstr(search->snapshot->gaps[i].why, why))
			return true;
	return false;
}

static void the_own_namespace_is_first_and_each_is_found_once(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "50", "elsewhere\n", 2, 1024);
	add_process(&search.folder, "51", "with-it\n", 2, 1024);
	share(&search.folder, "51", "50", "net");
	add_process(&search.folder, "101", "at-home\n", 2, 1024);
	share(&search.folder, "101", "100", "net");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	assert_true(search.list.items[0].own);
	assert_int_equal(search.list.items[0].inode, inode_of(&search.folder, "proc/100/ns/net"));
	const struct lp_netns_place *other =
	        place_of(&search, inode_of(&search.folder, "proc/50/ns/net"));
	assert_non_null(other);
	assert_false(other->own);
	assert_int_equal(other->pid + other->last_pid, 50 + 51);
	assert_int_equal(search.snapshot->n_processes, 4);
	assert_true(search.snapshot->privileged);
	assert_int_equal(search.snapshot->n_gaps, 0);
	search_done(&search);
}

static void the_host_is_that_of_pid_1(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "1", "init\n", 2, 1024);
	search_run(&search);
	assert_true(search.list.host_known);
	assert_string_equal(place_of(&search, inode_of(&search.folder, "proc/1/ns/net"))->name,
	                    "host");
	assert_null(search.list.items[0].name);
	search_done(&search);
}

static void where_pid_1_does_not_tell_a_kernel_thread_does(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "2", "kthreadd\n", 0, 1024);
	add_stat(&search.folder, "2", 'S', KERNEL_THREAD_FLAGS, 1);
	search_run(&search);
	assert_true(search.list.host_known);
	assert_string_equal(place_of(&search, inode_of(&search.folder, "proc/2/ns/net"))->name,
	                    "host");
	search_done(&search);
}

static void a_process_numbered_2_is_not_asked_for_the_host(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "2", "sh\n", 1, 1024);
	search_run(&search);
	assert_false(search.list.host_known);
	assert_null(place_of(&search, inode_of(&search.folder, "proc/2/ns/net"))->name);
	search_done(&search);
}

static void else_the_one_with_the_machines_sysctls_is_the_host(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_text(&search.folder, "proc/sys/net/ipv4/tcp_mem", "1\t2\t3\n");
	search_run(&search);
	assert_true(search.list.host_known);
	assert_string_equal(search.list.items[0].name, "host");
	search_done(&search);
}

static void threads_of_root_may_be_elsewhere(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "60", "go\n", 2, 1024);
	share(&search.folder, "60", "100", "net");
	folder_dir(&search.folder, "proc/60/task/60/ns");
	share(&search.folder, "60/task/60", "60", "net");
	folder_text(&search.folder, "proc/60/task/61/ns/net", "");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	const struct lp_netns_place *place =
	        place_of(&search, inode_of(&search.folder, "proc/60/task/61/ns/net"));
	assert_non_null(place);
	assert_string_equal(place->path, "60/task/61/ns/net");
	assert_false(place->named);
	search_done(&search);
}

static void too_many_threads_are_a_gap(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "60", "java\n", 2, 1024);
	share(&search.folder, "60", "100", "net");
	for (unsigned i = 0; i <= LP_SCAN_THREADS + 1; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "proc/60/task/%u", 60 + i);
		folder_dir(&search.folder, name);
	}
	search_run(&search);
	assert_int_equal(search.list.n, 1);
	assert_int_equal(search.list.scan->threads, 0);
	assert_true(has_gap(&search, "4097 threads"));
	search_done(&search);
}

static void add_mounts(struct search *search, const char *base, const char *point, uint64_t inode)
{
	char text[512];
	(void)snprintf(text, sizeof(text),
	               "21 1 0:20 / / rw - ext4 /dev/sda rw\n"
	               "garbage\n"
	               "22 21 0:4 net:[%ju] %s rw shared:5 - nsfs nsfs rw\n",
	               (uintmax_t)inode, point);
	folder_text(&search->folder, below(base, "mountinfo"), text);
}

static void mounts_keep_namespaces(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_text(&search.folder, "proc/100/root/run/docker/a b", "");
	uint64_t inode = inode_of(&search.folder, "proc/100/root/run/docker/a b");
	add_mounts(&search, "100", "/run/docker/a\\040b", inode);
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	assert_string_equal(place_of(&search, inode)->path, "100/root//run/docker/a b");
	assert_int_equal(search.snapshot->n_gaps, 0);
	search_done(&search);
}

static void a_mount_namespace_is_read_once(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "101", "same-mounts\n", 1, 1024);
	share(&search.folder, "101", "100", "mnt");
	share(&search.folder, "101", "100", "net");
	for (unsigned pid = 100; pid <= 101; pid++) {
		char base[8], path[64];
		(void)snprintf(base, sizeof(base), "%u", pid);
		(void)snprintf(path, sizeof(path), "proc/%s/root/x", base);
		folder_text(&search.folder, path, "");
		add_mounts(&search, base, "/x", inode_of(&search.folder, path));
	}
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	search_done(&search);
}

static void a_mount_that_is_covered_is_a_gap(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_text(&search.folder, "proc/100/root/x", "");
	add_mounts(&search, "100", "/x", 4026532999);
	search_run(&search);
	assert_int_equal(search.list.n, 1);
	assert_true(has_gap(&search, "1 mount of network namespaces not reachable"));
	search_done(&search);
}

static void a_covered_mount_found_otherwise_is_none(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_text(&search.folder, "proc/100/root/x", "");
	add_mounts(&search, "100", "/x", 4026532999);
	add_fd(&search.folder, "100", 9, "net:[4026532999]");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	assert_int_equal(search.snapshot->n_gaps, 0);
	search_done(&search);
}

static void descriptors_keep_namespaces(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_fd(&search.folder, "100", 7, "net:[4026532316]");
	add_fd(&search.folder, "100", 8, "mnt:[4026532317]");
	add_fd(&search.folder, "100", 9, "net:[4026532316]");
	add_fd(&search.folder, "100", 10, "net:[torn");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	const struct lp_netns_place *place = place_of(&search, 4026532316);
	assert_non_null(place);
	assert_true(!strcmp(place->path, "100/fd/7") || !strcmp(place->path, "100/fd/9"));
	assert_int_equal(search.list.scan->descriptors, 7);
	search_done(&search);
}

static void what_is_no_namespace_is_never_opened(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	add_process(&search.folder, "50", "elsewhere\n", 2, 1024);
	folder_text(&search.folder, "run/stale", "");
	search_run(&search);
	assert_int_equal(search.list.n, 2); /* the file left behind under /run/netns is none */
	for (size_t i = 0; i < search.list.n; i++)
		assert_int_equal(lp_netns_place_open(&search.folder.kernel, &search.list.items[i]),
		                 -ENOENT);
	search_done(&search);
}

static void a_proc_that_does_not_tell_the_own_namespace_still_has_it(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_remove(&search.folder, "proc/thread-self");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	assert_true(search.list.items[0].own);
	assert_int_equal(search.list.items[0].inode, 0);
	search_done(&search);
}

static void set_effective(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void without_rights_only_the_own_one_is_listed(void **state)
{
	(void)state;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct before[2], none[2];
	struct search search;
	search_make(&search);
	add_process(&search.folder, "50", "elsewhere\n", 2, 1024);
	add_process(&search.folder, "51", "elsewhere\n", 2, 1024);
	add_fd(&search.folder, "100", 7, "net:[4026532316]");
	assert_int_equal(syscall(SYS_capget, &header, before), 0);
	memcpy(none, before, sizeof(none));
	none[0].effective = none[1].effective = 0;
	set_effective(none);
	search_run(&search);
	set_effective(before);
	assert_int_equal(search.list.n, 1);
	assert_false(search.snapshot->privileged);
	assert_int_equal(search.snapshot->n_processes, 3);
	assert_true(has_gap(&search, "2 other network namespaces seen but not read"));
	search_done(&search);
}

UNIT_MAIN(cmocka_unit_test(descriptors_are_those_below_the_limit),
          cmocka_unit_test(kernel_threads_and_the_dead_are_left_out),
          cmocka_unit_test(a_process_outlives_its_first_thread),
          cmocka_unit_test(a_process_that_ends_meanwhile_is_no_gap),
          cmocka_unit_test(a_process_not_to_be_understood_is_a_gap),
          cmocka_unit_test(commands_are_safe_to_print),
          cmocka_unit_test(the_own_namespace_is_first_and_each_is_found_once),
          cmocka_unit_test(the_host_is_that_of_pid_1),
          cmocka_unit_test(where_pid_1_does_not_tell_a_kernel_thread_does),
          cmocka_unit_test(a_process_numbered_2_is_not_asked_for_the_host),
          cmocka_unit_test(else_the_one_with_the_machines_sysctls_is_the_host),
          cmocka_unit_test(threads_of_root_may_be_elsewhere),
          cmocka_unit_test(too_many_threads_are_a_gap), cmocka_unit_test(mounts_keep_namespaces),
          cmocka_unit_test(a_mount_namespace_is_read_once),
          cmocka_unit_test(a_mount_that_is_covered_is_a_gap),
          cmocka_unit_test(a_covered_mount_found_otherwise_is_none),
          cmocka_unit_test(descriptors_keep_namespaces),
          cmocka_unit_test(what_is_no_namespace_is_never_opened),
          cmocka_unit_test(a_proc_that_does_not_tell_the_own_namespace_still_has_it),
          cmocka_unit_test(without_rights_only_the_own_one_is_listed))
