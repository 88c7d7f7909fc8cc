/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of a look that programs in the kernel take over: reading connections. */

#include "kernel/bpf_sockets.h"

/* What is read by programs. All 0 in the beginning. */
struct lp_look_bpf {
	/* loads the programs meanwhile, if it was begun */
	struct lp_bpf_loading {
		pthread_t thread;
		bool begun;
		struct lp_bpf_reader *reader; /* once it has ended, if … */
		int result;                   /* … this is 0 */
		struct lp_error why;
	} loading;
	struct lp_bpf_reader *reader; /* NULL: sock_diag reads */
	struct lp_sample_place here;  /* the place of the namespace that they were opened in */
	struct lp_bpf_options options;
	bool tells_bound; /* so that sock_diag need not be asked for bound sockets */
	/* namespaces that are read in one pass, because they share a table */
	struct lp_bpf_stop stops[32];
	size_t n;
	uint64_t pools; /* at most so many will be kept */
	/* those that nothing leads to */
	struct lp_sample_net *unentered;
	size_t n_unentered;
};
void lp_look_bpf_done(struct lp_look_bpf *bpf);

/*
 * Begins to load the programs, in a thread of their own, where it is plain from the calling
 * thread's namespace alone that they will be wanted: that takes the kernel as long as all else
 * together.
 */
void lp_look_bpf_begin(struct lp_look_bpf *bpf, const struct lp_kernel *kernel,
                       const struct lp_look_options *options);

/*
 * Opens the programs where they are asked for, or worth it, and says in the snapshot who reads.
 * The settings of all namespaces are known. 0 or -ENOMEM.
 */
int lp_look_bpf_choose(struct lp_look_bpf *bpf, const struct lp_look_options *options,
                       struct lp_snapshot *snapshot);

/*
 * Reads the sockets of the namespace that the thread is in, at the latest when the look ends: the
 * namespace and what is reserved in it stay where they are until then. 0 or -ENOMEM.
 */
int lp_look_bpf_read(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot, struct lp_netns *netns,
                     const struct lp_port_map *reserved, const struct lp_sockets_options *options);
int lp_look_bpf_end(struct lp_look_bpf *bpf);

/*
 * Adds the namespaces that the kernel has and the snapshot has not, because a socket alone holds
 * them or they may not be entered, with their sysctls. 0 or -ENOMEM.
 */
int lp_look_unentered_list(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot);

/* The ports reserved in such a one; also counted in netns->reserved. */
void lp_look_unentered_reserved(struct lp_look_bpf *bpf, struct lp_netns *netns,
                                struct lp_port_map *ret);

/* As lp_look_bpf_read(), for such a one: from anywhere. */
int lp_look_unentered_read(struct lp_look_bpf *bpf, struct lp_snapshot *snapshot,
                           struct lp_netns *netns, const struct lp_port_map *reserved,
                           struct lp_sightings *sightings);

/* What is known of it only now that its connections are. 0 or -ENOMEM. */
int lp_look_unentered_end(struct lp_bpf_stop *stop);

/* Takes a stop over, once there is room. 0 or -ENOMEM. */
int lp_look_bpf_add(struct lp_look_bpf *bpf, struct lp_bpf_stop *stop, uint64_t pools);
