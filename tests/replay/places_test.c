/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Network namespaces of a recorded /proc, where the files under ns/ are plain ones. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/scan.h"
#include "recorded.h"
#include "unit/unit.h"

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
	recorded_process(&search->folder, "100", "caller\n", 3, 1024);
	folder_dir(&search->folder, "proc/thread-self/ns");
	recorded_share(&search->folder, "thread-self", "100", "net");
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
	recorded_process(&search.folder, "50", "elsewhere\n", 2, 1024);
	recorded_process(&search.folder, "51", "with-it\n", 2, 1024);
	recorded_share(&search.folder, "51", "50", "net");
	recorded_process(&search.folder, "101", "at-home\n", 2, 1024);
	recorded_share(&search.folder, "101", "100", "net");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	assert_true(search.list.items[0].own);
	assert_int_equal(search.list.items[0].inode,
	                 recorded_inode(&search.folder, "proc/100/ns/net"));
	const struct lp_netns_place *other =
	        place_of(&search, recorded_inode(&search.folder, "proc/50/ns/net"));
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
	recorded_process(&search.folder, "1", "init\n", 2, 1024);
	search_run(&search);
	assert_true(search.list.host_known);
	assert_string_equal(
	        place_of(&search, recorded_inode(&search.folder, "proc/1/ns/net"))->name, "host");
	assert_null(search.list.items[0].name);
	search_done(&search);
}

static void where_pid_1_does_not_tell_a_kernel_thread_does(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	recorded_process(&search.folder, "2", "kthreadd\n", 0, 1024);
	recorded_stat(&search.folder, "2", 'S', KERNEL_THREAD_FLAGS, 1);
	search_run(&search);
	assert_true(search.list.host_known);
	assert_string_equal(
	        place_of(&search, recorded_inode(&search.folder, "proc/2/ns/net"))->name, "host");
	search_done(&search);
}

/* Other processes of the host may be gone when it is entered. */
static void the_way_to_the_host_is_one_that_stays(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	recorded_process(&search.folder, "2", "kthreadd\n", 0, 1024);
	recorded_stat(&search.folder, "2", 'S', KERNEL_THREAD_FLAGS, 1);
	recorded_process(&search.folder, "50", "passing\n", 2, 1024);
	recorded_share(&search.folder, "50", "2", "net");
	search_run(&search);
	const struct lp_netns_place *host =
	        place_of(&search, recorded_inode(&search.folder, "proc/2/ns/net"));
	assert_string_equal(host->path, "2/ns/net");
	assert_int_equal(host->pid, 50);
	search_done(&search);
}

static void a_process_numbered_2_is_not_asked_for_the_host(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	recorded_process(&search.folder, "2", "sh\n", 1, 1024);
	search_run(&search);
	assert_false(search.list.host_known);
	assert_null(place_of(&search, recorded_inode(&search.folder, "proc/2/ns/net"))->name);
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
	recorded_process(&search.folder, "60", "go\n", 2, 1024);
	recorded_share(&search.folder, "60", "100", "net");
	folder_dir(&search.folder, "proc/60/task/60/ns");
	recorded_share(&search.folder, "60/task/60", "60", "net");
	folder_text(&search.folder, "proc/60/task/61/ns/net", "");
	search_run(&search);
	assert_int_equal(search.list.n, 2);
	const struct lp_netns_place *place =
	        place_of(&search, recorded_inode(&search.folder, "proc/60/task/61/ns/net"));
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
	recorded_process(&search.folder, "60", "java\n", 2, 1024);
	recorded_share(&search.folder, "60", "100", "net");
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
	folder_text(&search->folder, recorded_path(base, "mountinfo"), text);
}

static void mounts_keep_namespaces(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	folder_text(&search.folder, "proc/100/root/run/docker/a b", "");
	uint64_t inode = recorded_inode(&search.folder, "proc/100/root/run/docker/a b");
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
	recorded_process(&search.folder, "101", "same-mounts\n", 1, 1024);
	recorded_share(&search.folder, "101", "100", "mnt");
	recorded_share(&search.folder, "101", "100", "net");
	for (unsigned pid = 100; pid <= 101; pid++) {
		char base[8], path[64];
		(void)snprintf(base, sizeof(base), "%u", pid);
		(void)snprintf(path, sizeof(path), "proc/%s/root/x", base);
		folder_text(&search.folder, path, "");
		add_mounts(&search, base, "/x", recorded_inode(&search.folder, path));
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
	recorded_fd(&search.folder, "100", 9, "net:[4026532999]");
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
	recorded_fd(&search.folder, "100", 7, "net:[4026532316]");
	recorded_fd(&search.folder, "100", 8, "mnt:[4026532317]");
	recorded_fd(&search.folder, "100", 9, "net:[4026532316]");
	recorded_fd(&search.folder, "100", 10, "net:[torn");
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
	recorded_process(&search.folder, "50", "elsewhere\n", 2, 1024);
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

/* Which mounts that could not be reached are still there is asked at the end. */
static void an_unmounted_namespace_is_not_missed(void **state)
{
	(void)state;
	struct search search;
	size_t n = 99;
	search_make(&search);
	add_mounts(&search, "100", "/x", 4026532999);
	search_run(&search);
	assert_int_equal(search.list.scan->n_unreached, 1);
	assert_int_equal(lp_netns_scan_unreached(&search.folder.kernel, &search.list, &n), 0);
	assert_int_equal(n, 1);
	add_mounts(&search, "100", "/x", 4026532998);
	assert_int_equal(lp_netns_scan_unreached(&search.folder.kernel, &search.list, &n), 0);
	assert_int_equal(n, 0);
	folder_remove(&search.folder, "proc/100");
	assert_int_equal(lp_netns_scan_unreached(&search.folder.kernel, &search.list, &n), 0);
	assert_int_equal(n, 0);
	search_done(&search);
}

static void without_rights_only_the_own_one_is_listed(void **state)
{
	(void)state;
	struct search search;
	search_make(&search);
	recorded_process(&search.folder, "50", "elsewhere\n", 2, 1024);
	recorded_process(&search.folder, "51", "elsewhere\n", 2, 1024);
	recorded_fd(&search.folder, "100", 7, "net:[4026532316]");
	struct rights before = drop_rights(UINT64_MAX);
	search_run(&search);
	set_rights(&before);
	assert_int_equal(search.list.n, 1);
	assert_false(search.snapshot->privileged);
	assert_int_equal(search.snapshot->n_processes, 3);
	assert_true(has_gap(&search, "2 other network namespaces seen but not read"));
	search_done(&search);
}

/* A namespace that may not be asked for is a gap; but one that is gone answers the same. */
static void a_refusal_counts_while_the_process_is_there(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct search search;
		search_make(&search);
		recorded_process(&search.folder, "50", "elsewhere\n", 2, 1024);
		folder_text(&search.folder, "locked/net", "");
		assert_int_equal(fchmodat(search.folder.fd, "locked", 0700, 0), 0);
		assert_int_equal(fchownat(search.folder.fd, "locked", 65534, 65534, 0), 0);
		folder_remove(&search.folder, "proc/50/ns/net");
		folder_link(&search.folder, "proc/50/ns/net", "../../../locked/net");
		if (gone)
			folder_remove(&search.folder, "proc/50/stat");
		struct rights before = drop_rights(UINT64_C(1) << CAP_DAC_OVERRIDE |
		                                   UINT64_C(1) << CAP_DAC_READ_SEARCH);
		search_run(&search);
		set_rights(&before);
		assert_int_equal(search.list.n, 1);
		assert_int_equal(search.snapshot->n_gaps, !gone);
		assert_int_equal(
		        has_gap(&search, "1 process whose network namespace may not be asked for"),
		        !gone);
		search_done(&search);
	}
}

UNIT_MAIN(cmocka_unit_test(the_own_namespace_is_first_and_each_is_found_once),
          cmocka_unit_test(the_host_is_that_of_pid_1),
          cmocka_unit_test(where_pid_1_does_not_tell_a_kernel_thread_does),
          cmocka_unit_test(the_way_to_the_host_is_one_that_stays),
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
          cmocka_unit_test(an_unmounted_namespace_is_not_missed),
          cmocka_unit_test(without_rights_only_the_own_one_is_listed),
          cmocka_unit_test(a_refusal_counts_while_the_process_is_there))
