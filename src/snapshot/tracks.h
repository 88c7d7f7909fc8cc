/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sums up the entries of one namespace's connection tracking, in about 2.5 MiB however many. */

#include "snapshot/conntrack.h"

struct lp_tracks;

/* The caller's; NULL when memory is short. */
struct lp_tracks *lp_tracks_new(void);
void lp_tracks_free(struct lp_tracks *tracks);
static inline void lp_tracks_freep(struct lp_tracks **tracks)
{
	lp_tracks_free(*tracks);
}

/* One entry. Family, state and protocol may be anything. */
void lp_tracks_add(struct lp_tracks *tracks, const struct lp_conntrack_entry *entry);

/* What was added, as a snapshot keeps it. */
void lp_tracks_tell(struct lp_tracks *tracks, struct lp_conntrack_detail *ret);
