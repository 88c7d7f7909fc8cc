/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the search for namespaces share. */

#include "check.h"
#include "kernel/scan.h"

/* A private /run/netns, and the kernel as it is seen with it. */
struct world {
	struct lab_mounts mounts;
	struct lp_kernel kernel;
};
int world_make(void **state);
int world_unmake(void **state);

/* What a search found. */
struct found {
	const struct lp_kernel *kernel;
	struct lp_snapshot *snapshot;
	struct lp_netns_list list;
};
struct found search_world(const struct world *world);
void found_done(struct found *found);
bool found_gap(const struct found *found, const char *why);
/* The only place of this inode; NULL if there is none. */
const struct lp_netns_place *found_place(const struct found *found, uint64_t inode);
/* It can be entered, and that is where one is then. */
const struct lp_netns_place *found_entered(const struct found *found, uint64_t inode);

/* ---- children ----------------------------------------------------------------------------- */

struct in_ns {
	const struct lab_ns *ns;
	bool hold; /* by a descriptor only, 77 */
};
/* data is a struct in_ns. Lives in the namespace, or keeps a descriptor of it and nothing else. */
int live_there(void *data, int say);

/* Opens so many descriptors. */
bool open_many(uint64_t n);

/*
 * Runs tests in a pid namespace with a /proc of its own: what else runs on this machine may have
 * more descriptors than are searched. Returns what run returned, in the new process only.
 */
int run_alone(int (*run)(void));
