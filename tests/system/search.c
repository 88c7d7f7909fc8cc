/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int world_make(void **state)
{
	static struct world world;
	struct lp_error err = {0};
	assert_ok(lab_private_mounts(&world.mounts, &err), err);
	assert_ok(lp_kernel_open(&world.kernel, &err), err);
	*state = &world;
	return 0;
}

int world_unmake(void **state)
{
	lp_kernel_close(&((struct world *)*state)->kernel);
	return 0;
}

struct found search_world(const struct world *world)
{
	struct found found = {.kernel = &world->kernel, .snapshot = lp_snapshot_new()};
	assert_non_null(found.snapshot);
	must(lp_netns_list_read(&world->kernel, found.snapshot, &found.list));
	for (size_t i = 0; i < found.snapshot->n_gaps; i++)
		note("gap: %s: %s", found.snapshot->gaps[i].what, found.snapshot->gaps[i].why);
	return found;
}

void found_done(struct found *found)
{
	lp_netns_list_done(&found->list);
	lp_snapshot_free(found->snapshot);
}

bool found_gap(const struct found *found, const char *why)
{
	for (size_t i = 0; i < found->snapshot->n_gaps; i++)
		if (strstr(found->snapshot->gaps[i].why, why))
			return true;
	return false;
}

/* The only place of this inode. */
const struct lp_netns_place *found_place(const struct found *found, uint64_t inode)
{
	const struct lp_netns_place *place = NULL;
	for (size_t i = 0; i < found->list.n; i++) {
		if (found->list.items[i].inode != inode)
			continue;
		assert_null(place);
		place = &found->list.items[i];
	}
	return place;
}

/* It can be entered, and that is where one is then. */
const struct lp_netns_place *found_entered(const struct found *found, uint64_t inode)
{
	const struct lp_netns_place *place = found_place(found, inode);
	assert_non_null(place);
	int fd = must(lp_netns_place_open(found->kernel, place));
	struct lab_ns there = {.fd = fd};
	struct lab_ns now = LAB_NS_NONE;
	struct lp_error err = {0};
	_cleanup_(lab_leave) _unused_ int home = must(lab_enter(&there));
	assert_ok(lab_ns_self(&now, &err), err);
	assert_true(now.inode == inode);
	lab_ns_done(&now);
	lab_ns_done(&there);
	return place;
}

/* Lives in the namespace, or keeps a descriptor of it and nothing else. */
int live_there(void *data, int say)
{
	const struct in_ns *in = data;
	if (in->hold && dup2(in->ns->fd, 77) < 0)
		return 1;
	if (!in->hold && setns(in->ns->fd, CLONE_NEWNET) < 0)
		return 2;
	(void)close(in->ns->fd);
	lab_child_ready(say);
}

bool open_many(uint64_t n)
{
	while (n-- > 0)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return false;
	return true;
}

int run_alone(int (*run)(void))
{
	struct lab_mounts mounts;
	struct lp_error err = {0};
	int status;
	if (lab_private_mounts(&mounts, &err) < 0 || unshare(CLONE_NEWPID) < 0) {
		note("no pid namespace: %s %s", strerror(errno), err.text);
		return EXIT_FAILURE;
	}
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		return mount("proc", "/proc", "proc", 0, NULL) < 0 ? EXIT_FAILURE : run();
	}
	bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
	/* nothing can be forked any more, which the leak check of sanitizers would do */
	_exit(ended ? WEXITSTATUS(status) : EXIT_FAILURE);
}
