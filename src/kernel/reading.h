/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reading of one namespace's sockets in its steps, for readers that share the first. */

#include "kernel/kernel.h"
#include "snapshot/sockets.h"

struct lp_reading {
	struct lp_snapshot *snapshot;
	struct lp_netns *netns;
	struct lp_sockets *sockets;
	const struct lp_sockets_options *options;
	uint32_t sequence;
	bool torn;    /* something is missing from what was read */
	bool failed;  /* something could not be read at all */
	bool settled; /* the connections are in; for a reader of several at once */
};

/*
 * What holds ports, by sock_diag in the calling thread's namespace. 0 (also with gaps) or -ENOMEM.
 * To be ended by lp_reading_done() in any case.
 */
int lp_reading_begin(struct lp_reading *reading, struct lp_snapshot *snapshot,
                     struct lp_netns *netns, const struct lp_port_map *reserved,
                     const struct lp_sockets_options *options);

/*
 * Whether there can be connections or requests besides the listeners just read. A dump of an empty
 * table still walks it: 0.3 ms. The namespace's counters are to be known by now.
 */
bool lp_reading_has_connections(const struct lp_reading *reading);

/* Hands everything to the namespace, once its connections are in. 0 or -ENOMEM. */
int lp_reading_end(struct lp_reading *reading);

static inline void lp_reading_done(struct lp_reading *reading)
{
	lp_sockets_free(reading->sockets);
	reading->sockets = NULL;
}
