/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parts of the JSON, each a new value; NULL when memory is short. Inner header of src/view. */

#include <jansson.h>

#include "snapshot/owners.h"
#include "view/view.h"

/* Text of others may be no UTF-8, which JSON has to be. */
json_t *lp_json_text(const char *text);

/* What the kernel counts for a kind that names counters: into the object of its limit. */
int lp_json_counters(json_t *object, const struct lp_snapshot *snapshot,
                     const struct lp_limit *limit);

/* "2026-01-01T00:00:00.000Z", of milliseconds since the epoch */
json_t *lp_json_time(int64_t ms);

/* {"time_wait":…}: those that are not 0 */
json_t *lp_json_states(const uint32_t states[LP_STATES]);

/* [{"pid":…},…] */
json_t *lp_json_owners(const struct lp_pool_owners *owners);

/* [{"connections":…,"what":…,"why":…},…] */
json_t *lp_json_unowned(const struct lp_pool_owners *owners);
/* With as many decimals as mean something: one, or three digits of what is under 1. */
json_t *lp_json_fraction(double n);

/* {"inode":…,"name":…} */
json_t *lp_json_netns(const struct lp_netns *netns);

/*
 * What was seen of a namespace's connection tracking, into the object of its limit: "buckets",
 * "counters", "states", "talkers" … 0 or -ENOMEM.
 */
int lp_json_conntrack(json_t *object, const struct lp_snapshot *snapshot,
                      const struct lp_limit *limit);

/* {"log":[…]} or {"log_unread":…}, and what is missing from it */
json_t *lp_json_log(const struct lp_snapshot *snapshot);

/* The range and clients of a pool of source NAT, into the object of its limit. 0 or -ENOMEM. */
int lp_json_nat(json_t *object, const struct lp_nat_pool *pool);

/* What a limit is a limit of: {"local":…} */
json_t *lp_json_scope(const struct lp_limit *limit);

/* Texts that are UTF-8 already. */
json_t *lp_json_texts(const struct lp_texts *texts);

/* One finding with its evidence and remedies. */
json_t *lp_json_finding(const struct lp_report *report, const struct lp_finding *finding);

/* {"findings":[…],"not_judged":[…]} */
json_t *lp_json_findings(const struct lp_report *report);
