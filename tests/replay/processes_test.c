/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes of a recorded /proc. There the size of PID/fd says nothing, as before Linux 6.2, so
 * the descriptors are listed.
 */

#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "recorded.h"
#include "unit/unit.h"

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
	recorded_process(&folder, "812", "nginx\n", 7, 1024);
	recorded_process(&folder, "813", "above\n", 7, 5);
	recorded_fd(&folder, "813", 1000, "/dev/null");
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
	recorded_process(&folder, "2", "kthreadd\n", 0, 1024);
	recorded_stat(&folder, "2", 'S', KERNEL_THREAD_FLAGS, 1);
	recorded_process(&folder, "3", "zombie\n", 0, 1024);
	recorded_stat(&folder, "3", 'Z', USER_FLAGS, 1);
	recorded_process(&folder, "4", "closed-all\n", 0, 1024);
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
	recorded_process(&folder, "50", "gone\n", 0, 1024);
	recorded_stat(&folder, "50", 'Z', USER_FLAGS, 2);
	folder_dir(&folder, "proc/50/task/50/fd");
	recorded_process(&folder, "50/task/51", "worker\n", 9, 1024);
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
		recorded_process(&folder, "10", "stays\n", 1, 1024);
		recorded_process(&folder, "11", "goes\n", strcmp(parts[i], "stat") ? 1 : 0, 1024);
		folder_remove(&folder, recorded_path("11", parts[i]));
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
		recorded_process(&folder, "10", "well\n", 1, 1024);
		recorded_process(&folder, "11", "torn\n", strcmp(parts[i], "stat") ? 1 : 0, 1024);
		folder_text(&folder, recorded_path("11", parts[i]), "11 (to");
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
	recorded_process(&folder, "10", "a\x1b[31m\nb\n", 1, 1024);
	recorded_process(&folder, "11", "fifteen-and-mo\xc3\xbc\n", 1, 1024);
	recorded_process(&folder, "12", "no-newline", 1, 1024);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = read_processes(&folder);
	assert_string_equal(find(snapshot, 10)->command, "a?[31m?b");
	assert_string_equal(find(snapshot, 11)->command, "fifteen-and-mo?");
	assert_string_equal(find(snapshot, 12)->command, "no-newline");
	folder_done(&folder);
}

/* Descriptors that may not be listed are a gap; but a process that is gone answers the same. */
static void descriptors_that_may_not_be_listed_are_a_gap(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct folder folder;
		folder_make(&folder);
		recorded_process(&folder, "50", "others\n", 2, 1024);
		assert_int_equal(fchmodat(folder.fd, "proc/50/fd", 0700, 0), 0);
		assert_int_equal(fchownat(folder.fd, "proc/50/fd", 65534, 65534, 0), 0);
		if (gone)
			folder_remove(&folder, "proc/50/stat");
		struct rights before = drop_rights(UINT64_MAX);
		struct lp_snapshot *snapshot = read_processes(&folder);
		set_rights(&before);
		assert_int_equal(snapshot->n_processes, 0);
		assert_int_equal(snapshot->n_gaps, !gone);
		if (!gone)
			assert_non_null(strstr(snapshot->gaps[0].why, "1 process of others"));
		lp_snapshot_free(snapshot);
		folder_done(&folder);
	}
}

UNIT_MAIN(cmocka_unit_test(descriptors_are_those_below_the_limit),
          cmocka_unit_test(kernel_threads_and_the_dead_are_left_out),
          cmocka_unit_test(a_process_outlives_its_first_thread),
          cmocka_unit_test(a_process_that_ends_meanwhile_is_no_gap),
          cmocka_unit_test(a_process_not_to_be_understood_is_a_gap),
          cmocka_unit_test(commands_are_safe_to_print),
          cmocka_unit_test(descriptors_that_may_not_be_listed_are_a_gap))
