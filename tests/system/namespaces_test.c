/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every way in which a network namespace can be kept is found, each namespace once. */

#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void the_own_one_is_first(void **state)
{
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&ns));
	_cleanup_(found_done) struct found found = search_world(*state);
	assert_true(found.list.items[0].inode == ns.inode);
	for (size_t i = 0; i < found.list.n; i++)
		assert_int_equal(found.list.items[i].own, i == 0);
}

static void one_with_a_name(void **state)
{
	const struct world *world = *state;
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_ns_name(&world->mounts, &ns, "blue", &err), err);
	uint64_t inode = ns.inode;
	lab_ns_done(&ns); /* the mount alone keeps it */
	_cleanup_(found_done) struct found found = search_world(world);
	const struct lp_netns_place *place = found_entered(&found, inode);
	assert_string_equal(place->name, "blue");
	assert_true(place->named);
	assert_int_equal(place->pid, 0);
	assert_int_equal(umount2("/run/netns/blue", MNT_DETACH), 0);
	/* what is left under /run/netns is a file like any other */
	_cleanup_(found_done) struct found after = search_world(world);
	assert_null(found_place(&after, inode));
	assert_int_equal(lp_netns_place_open(&world->kernel, place), -ENOENT);
}

/* What was listed by its name is not mistaken for what has the name by now. */
static void one_whose_name_went_to_another(void **state)
{
	const struct world *world = *state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns old = LAB_NS_NONE, new = LAB_NS_NONE;
	assert_ok(lab_ns_make(&old, &err), err);
	assert_ok(lab_ns_make(&new, &err), err);
	assert_ok(lab_ns_name(&world->mounts, &old, "green", &err), err);
	_cleanup_(found_done) struct found found = search_world(world);
	found_entered(&found, old.inode);
	assert_int_equal(umount2("/run/netns/green", MNT_DETACH), 0);
	assert_int_equal(unlink("/run/netns/green"), 0);
	assert_ok(lab_ns_name(&world->mounts, &new, "green", &err), err);
	lab_ns_done(&old); /* else it is found by this descriptor */
	assert_int_equal(lp_netns_place_open(&world->kernel, found_place(&found, old.inode)),
	                 -ENOENT);
	(void)umount2("/run/netns/green", MNT_DETACH);
}

static void another_kind_of_namespace_with_a_name_is_none(void **state)
{
	const struct world *world = *state;
	int fd = must(open("/run/netns/uts", O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
	(void)close(fd);
	assert_int_equal(mount("/proc/self/ns/uts", "/run/netns/uts", NULL, MS_BIND, NULL), 0);
	struct stat st;
	assert_int_equal(stat("/run/netns/uts", &st), 0);
	_cleanup_(found_done) struct found found = search_world(world);
	(void)umount2("/run/netns/uts", MNT_DETACH);
	assert_null(found_place(&found, st.st_ino));
}

static void one_mounted_elsewhere(void **state)
{
	const struct world *world = *state;
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_ns_bind(&world->mounts, &ns, "/run/netns/.kept elsewhere", &err), err);
	uint64_t inode = ns.inode;
	lab_ns_done(&ns);
	_cleanup_(found_done) struct found found = search_world(world);
	const struct lp_netns_place *place = found_entered(&found, inode);
	assert_non_null(strstr(place->path, "/root//run/netns/.kept elsewhere"));
	assert_false(place->named);
	(void)umount2("/run/netns/.kept elsewhere", MNT_DETACH);
}

static void check_processes(const struct world *world, bool last_ends)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child a = LAB_CHILD_NONE, b = LAB_CHILD_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	struct in_ns in = {.ns = &ns};
	must(lab_child_start(&a, live_there, &in));
	must(lab_child_start(&b, live_there, &in));
	uint64_t inode = ns.inode;
	lab_ns_done(&ns);
	_cleanup_(found_done) struct found found = search_world(world);
	const struct lp_netns_place *place = found_entered(&found, inode);
	assert_int_equal(place->pid + place->last_pid, a.pid + b.pid);
	/* one of them ends after it was listed: the other still leads there; then neither does */
	struct lab_child *first = place->pid == a.pid ? &a : &b, *last = first == &a ? &b : &a;
	lab_child_stop(last_ends ? last : first);
	found_entered(&found, inode);
	lab_child_stop(last_ends ? first : last);
	assert_int_equal(lp_netns_place_open(found.kernel, place), -ENOENT);
}

static void one_with_processes_in_it(void **state)
{
	check_processes(*state, false);
	check_processes(*state, true);
}

static void one_held_by_a_descriptor_only(void **state)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	struct in_ns in = {.ns = &ns, .hold = true};
	must(lab_child_start(&child, live_there, &in));
	uint64_t inode = ns.inode;
	lab_ns_done(&ns);
	_cleanup_(found_done) struct found found = search_world(*state);
	const struct lp_netns_place *place = found_entered(&found, inode);
	char path[32];
	(void)snprintf(path, sizeof(path), "%d/fd/77", child.pid);
	assert_string_equal(place->path, path);
}

/* So many descriptors are not searched while they are counted, but after. */
static int hold_among_many(void *data, int say)
{
	return open_many(2 * LP_SCAN_FEW) ? live_there(data, say) : 3;
}

static void one_held_among_many_descriptors(void **state)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	struct in_ns in = {.ns = &ns, .hold = true};
	must(lab_child_start(&child, hold_among_many, &in));
	uint64_t inode = ns.inode;
	lab_ns_done(&ns);
	_cleanup_(found_done) struct found found = search_world(*state);
	found_entered(&found, inode);
	const struct lp_netns_scan *scan = found.list.scan;
	uint64_t few = scan->descriptors;
	for (size_t i = 0; i < scan->n_holders; i++) {
		assert_true(scan->holders[i].open > LP_SCAN_FEW);
		few -= scan->holders[i].open;
	}
	/* everybody else has a few, and they are counted as well */
	assert_true(few > found.snapshot->n_processes - scan->n_holders);
}

struct thread_in_ns {
	struct lab_ns ns;
	int ready, go;
};

static void *stay_there(void *data)
{
	struct thread_in_ns *in = data;
	uint64_t one = 1;
	if (setns(in->ns.fd, CLONE_NEWNET) == 0)
		(void)!write(in->ready, &one, sizeof(one));
	(void)!read(in->go, &one, sizeof(one));
	return NULL;
}

static void one_with_a_thread_in_it(void **state)
{
	struct lp_error err = {0};
	pthread_t thread;
	struct thread_in_ns in = {LAB_NS_NONE, eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	uint64_t one;
	assert_ok(lab_ns_make(&in.ns, &err), err);
	uint64_t inode = in.ns.inode;
	assert_int_equal(pthread_create(&thread, NULL, stay_there, &in), 0);
	assert_int_equal(read(in.ready, &one, sizeof(one)), sizeof(one));
	lab_ns_done(&in.ns);
	struct found found = search_world(*state);
	const struct lp_netns_place *place = found_entered(&found, inode);
	assert_non_null(strstr(place->path, "/task/"));
	found_done(&found);
	one = 1;
	assert_int_equal(write(in.go, &one, sizeof(one)), sizeof(one));
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(in.ready);
	(void)close(in.go);
}

static void one_kept_in_every_way_is_found_once(void **state)
{
	const struct world *world = *state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_child_stop) struct lab_child a = LAB_CHILD_NONE, b = LAB_CHILD_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_ns_name(&world->mounts, &ns, "red", &err), err);
	assert_ok(lab_ns_name(&world->mounts, &ns, "also-red", &err), err);
	assert_ok(lab_ns_bind(&world->mounts, &ns, "/run/netns/.red", &err), err);
	struct in_ns lives = {.ns = &ns}, holds = {.ns = &ns, .hold = true};
	must(lab_child_start(&a, live_there, &lives));
	must(lab_child_start(&b, live_there, &holds));
	_cleanup_(found_done) struct found found = search_world(world);
	const struct lp_netns_place *place = found_entered(&found, ns.inode);
	assert_string_equal(place->name, "also-red"); /* the first by name */
	assert_int_equal(place->pid, a.pid);
	(void)umount2("/run/netns/red", MNT_DETACH);
	(void)umount2("/run/netns/also-red", MNT_DETACH);
	(void)umount2("/run/netns/.red", MNT_DETACH);
}

static int run_ways(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_own_one_is_first),
	        cmocka_unit_test(one_with_a_name),
	        cmocka_unit_test(one_whose_name_went_to_another),
	        cmocka_unit_test(another_kind_of_namespace_with_a_name_is_none),
	        cmocka_unit_test(one_mounted_elsewhere),
	        cmocka_unit_test(one_with_processes_in_it),
	        cmocka_unit_test(one_held_by_a_descriptor_only),
	        cmocka_unit_test(one_held_among_many_descriptors),
	        cmocka_unit_test(one_with_a_thread_in_it),
	        cmocka_unit_test(one_kept_in_every_way_is_found_once),
	};
	return cmocka_run_group_tests(tests, world_make, world_unmake);
}

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return run_alone(run_ways);
}
