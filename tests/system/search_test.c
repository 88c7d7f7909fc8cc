/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The search for namespaces among many, in a hurry, and with fewer rights. */

#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static void the_host_has_its_name_wherever_one_looks_from(void **state)
{
	struct lp_error err = {0};
	struct stat host;
	const struct world *world = *state;
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_int_equal(fstatat(world->kernel.proc, "2/ns/net", &host, 0), 0);
	for (int away = 0; away < 2; away++) {
		_cleanup_(lab_leave) _unused_ int home = must(lab_enter(away ? &ns : NULL));
		_cleanup_(found_done) struct found found = search_world(world);
		const struct lp_netns_place *place = found_entered(&found, host.st_ino);
		assert_string_equal(place->name, "host");
		assert_true(found.list.host_known);
	}
}

/* Sizes of processes that the search has just not enough left for, if it goes through in order. */
struct crowd {
	uint64_t big, middle;
	const struct lab_ns *ns;
};

static int be_big(void *data, int say)
{
	const struct crowd *crowd = data;
	if (!open_many(crowd->big))
		return 1;
	lab_child_ready(say);
}

static int be_middle(void *data, int say)
{
	const struct crowd *crowd = data;
	struct in_ns in = {.ns = crowd->ns, .hold = true};
	return open_many(crowd->middle) ? live_there(&in, say) : 1;
}

static void too_many_descriptors_are_a_gap_and_the_smaller_are_searched(void **state)
{
	enum { MOST = 64 };
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child middle = LAB_CHILD_NONE;
	struct lab_child bigs[MOST];
	uint64_t limit = lab_raise_descriptors();
	uint64_t big = (limit < 40000 ? limit : 40000) - 300;
	uint64_t n = LP_SCAN_DESCRIPTORS / big + 1;
	assert_true(n <= MOST);
	struct crowd crowd = {big, LP_SCAN_DESCRIPTORS - (n - 1) * big + 10, &ns};
	for (uint64_t i = 0; i < n; i++)
		must(lab_child_start(&bigs[i], be_big, &crowd));
	assert_ok(lab_ns_make(&ns, &err), err); /* the big ones do not inherit it */
	must(lab_child_start(&middle, be_middle, &crowd));
	uint64_t inode = ns.inode;
	lab_ns_done(&ns);
	_cleanup_(found_done) struct found found = search_world(*state);
	for (uint64_t i = 0; i < n; i++)
		lab_child_stop(&bigs[i]);
	found_entered(&found, inode);
	assert_true(found_gap(&found, "not looked at"));
	assert_true(found.list.scan->descriptors <= LP_SCAN_DESCRIPTORS);
}

/* More namespaces than descriptors are allowed: none stays open. */
static void many_need_no_descriptors(void **state)
{
	enum { N = 200, ALLOWED = 40 };
	const struct world *world = *state;
	struct lp_error err = {0};
	static uint64_t inodes[N];
	for (int i = 0; i < N; i++) {
		char name[16];
		struct lab_ns ns = LAB_NS_NONE;
		(void)snprintf(name, sizeof(name), "many%d", i);
		assert_ok(lab_ns_make(&ns, &err), err);
		assert_ok(lab_ns_name(&world->mounts, &ns, name, &err), err);
		inodes[i] = ns.inode;
		lab_ns_done(&ns);
	}
	struct rlimit before, few;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ALLOWED, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct found found = search_world(world);
	for (int i = 0; i < N; i++)
		found_entered(&found, inodes[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	found_done(&found);
	for (int i = 0; i < N; i++) {
		char path[32];
		(void)snprintf(path, sizeof(path), "/run/netns/many%d", i);
		(void)umount2(path, MNT_DETACH);
	}
}

static int churn(void *data, int say)
{
	bool ready = false;
	(void)data;
	for (;;) {
		for (int i = 0; i < 20; i++)
			if (fork() == 0)
				_exit(unshare(CLONE_NEWNET | CLONE_NEWNS));
		while (waitpid(-1, NULL, 0) > 0)
			;
		if (!ready)
			ready = write(say, "r", 1) == 1;
	}
}

static void processes_that_come_and_go_are_no_gap(void **state)
{
	enum { LOOKS = 200 };
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, churn, NULL));
	size_t seen = 0;
	for (int i = 0; i < LOOKS; i++) {
		_cleanup_(found_done) struct found found = search_world(*state);
		assert_int_equal(found.snapshot->n_gaps, 0);
		for (size_t j = 1; j < found.list.n; j++) {
			int fd = lp_netns_place_open(found.kernel, &found.list.items[j]);
			assert_true(fd >= 0 || fd == -ENOENT);
			lp_close_fd(&fd);
			seen++;
		}
	}
	note("%zu namespaces came and went", seen);
}

/* Binds and unbinds namespaces where only the mount tells of them. */
static int churn_mounts(void *data, int say)
{
	enum { N = 20 };
	const struct world *world = data;
	bool ready = false;
	for (;;) {
		for (int i = 0; i < N; i++) {
			char path[32];
			struct lab_ns ns = LAB_NS_NONE;
			(void)snprintf(path, sizeof(path), "/run/netns/.churn%d", i);
			(void)umount2(path, MNT_DETACH);
			if (lab_ns_make(&ns, NULL) < 0 ||
			    lab_ns_bind(&world->mounts, &ns, path, NULL) < 0)
				return 1;
			lab_ns_done(&ns);
		}
		if (!ready)
			ready = write(say, "r", 1) == 1;
	}
}

static void mounts_that_come_and_go_are_no_gap(void **state)
{
	enum { LOOKS = 100 };
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, churn_mounts, *state));
	for (int i = 0; i < LOOKS; i++) {
		_cleanup_(found_done) struct found found = search_world(*state);
		assert_int_equal(found.snapshot->n_gaps, 0);
	}
	lab_child_stop(&child);
	for (int i = 0; i < 20; i++) {
		char path[32];
		(void)snprintf(path, sizeof(path), "/run/netns/.churn%d", i);
		(void)umount2(path, MNT_DETACH);
	}
}

/* What an ordinary user found, as an exit status: 0 is right. */
static int search_as_user(void *data, int say)
{
	const struct world *world = data;
	struct lp_netns_list list = {0};
	struct lp_snapshot *snapshot = lp_snapshot_new();
	(void)say;
	if (lab_become(65534, 65534) < 0 || !snapshot)
		return 1;
	if (lp_netns_list_read(&world->kernel, snapshot, &list) < 0)
		return 2;
	if (snapshot->privileged || list.n != 1 || !list.items[0].own || !list.items[0].inode)
		return 3;
	if (snapshot->n_processes < 2 || snapshot->n_gaps < 1)
		return 4;
	bool told = false;
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		told |= !strcmp(snapshot->gaps[i].what, "namespaces") &&
		        strstr(snapshot->gaps[i].why, "needs root");
	return told ? 0 : 5;
}

static void an_ordinary_user_sees_the_own_one_and_is_told(void **state)
{
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, search_as_user, *state));
	assert_int_equal(lab_child_wait(&child), 0);
}

static int look_without_proc(void *data, int say)
{
	struct lp_kernel kernel;
	struct lp_error err = {0};
	struct lab_mounts mounts;
	(void)data;
	(void)say;
	if (lab_private_mounts(&mounts, &err) < 0 || mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return 1;
	if (lp_kernel_open(&kernel, &err) != -EIO || kernel.proc != -1)
		return 2;
	return strstr(err.text, "/proc is not mounted") ? 0 : 3;
}

static void without_proc_nothing_works_and_it_says_so(void **state)
{
	struct lab_child child = LAB_CHILD_NONE;
	(void)state;
	must(lab_child_start(&child, look_without_proc, NULL));
	assert_int_equal(lab_child_wait(&child), 0);
}

/* In a pid namespace of its own, whose /proc hides others' processes. */
static int look_through_hidepid(void *data, int say)
{
	struct lp_kernel kernel;
	(void)data;
	(void)say;
	struct lab_mounts mounts;
	if (unshare(CLONE_NEWPID) < 0 || lab_private_mounts(&mounts, NULL) < 0)
		return 1;
	pid_t pid = fork();
	if (pid > 0) {
		int status;
		(void)waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
	}
	if (mount("proc", "/proc", "proc", 0, "hidepid=2") < 0)
		_exit(3);
	struct lp_snapshot *snapshot = lp_snapshot_new();
	if (!snapshot || lp_kernel_open(&kernel, NULL) < 0)
		_exit(4);
	if (lp_process_read(&kernel, snapshot, NULL) < 0 || snapshot->n_gaps)
		_exit(5);
	if (lab_become(65534, 65534) < 0 || lp_process_read(&kernel, snapshot, NULL) < 0)
		_exit(6);
	_exit(snapshot->n_gaps == 1 && strstr(snapshot->gaps[0].why, "hidepid") ? 0 : 7);
}

static void hidden_processes_are_told_of(void **state)
{
	struct lab_child child = LAB_CHILD_NONE;
	(void)state;
	must(lab_child_start(&child, look_through_hidepid, NULL));
	assert_int_equal(lab_child_wait(&child), 0);
}

static int many_processes(void *data, int say)
{
	const int *n = data;
	for (int i = 0; i < *n; i++)
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)pause();
			_exit(0);
		}
	lab_child_ready(say);
}

/* The quickest of a few looks, in ns. */
static int64_t time_search(const struct world *world)
{
	int64_t best = INT64_MAX;
	for (int i = 0; i < 5; i++) {
		int64_t begin = lp_clock_ns();
		_cleanup_(found_done) _unused_ struct found found = search_world(world);
		int64_t took = lp_clock_ns() - begin;
		best = took < best ? took : best;
	}
	return best;
}

static void the_search_is_linear_in_processes(void **state)
{
	static const int sizes[] = {300, 2400};
	int64_t took[2];
	for (int i = 0; i < 2; i++) {
		_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
		int n = sizes[i];
		must(lab_child_start(&child, many_processes, &n));
		took[i] = time_search(*state);
		note("%d processes: %.1f ms", n, (double)took[i] / 1e6);
	}
	assert_true(took[1] < took[0] * 24); /* 8 if linear, 64 if quadratic */
	assert_true(took[1] < INT64_C(600) * 1000000);
}

static int run_bounds(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(too_many_descriptors_are_a_gap_and_the_smaller_are_searched),
	        cmocka_unit_test(many_need_no_descriptors),
	        cmocka_unit_test(processes_that_come_and_go_are_no_gap),
	        cmocka_unit_test(mounts_that_come_and_go_are_no_gap),
	        cmocka_unit_test(an_ordinary_user_sees_the_own_one_and_is_told),
	        cmocka_unit_test(hidden_processes_are_told_of),
	        cmocka_unit_test(without_proc_nothing_works_and_it_says_so),
	};
	return cmocka_run_group_tests(tests, world_make, world_unmake);
}

static int run_host(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_host_has_its_name_wherever_one_looks_from)};
	return cmocka_run_group_tests(tests, world_make, world_unmake);
}

static int run_timing(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_search_is_linear_in_processes)};
	return cmocka_run_group_tests(tests, world_make, world_unmake);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "bounds";
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!strcmp(what, "host"))
		return run_host();
	return run_alone(!strcmp(what, "timing") ? run_timing : run_bounds);
}
