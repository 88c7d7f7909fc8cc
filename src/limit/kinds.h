/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each kind of limit lives in a file of its own; limit.c lists them. */

#include "limit/limit.h"

extern const struct lp_limit_kind lp_local_ports;
extern const struct lp_limit_kind lp_bind_ports;
extern const struct lp_limit_kind lp_client_ports;
extern const struct lp_limit_kind lp_time_wait_buckets;
extern const struct lp_limit_kind lp_file_descriptors;
extern const struct lp_limit_kind lp_accept_queue;
extern const struct lp_limit_kind lp_syn_queue;
extern const struct lp_limit_kind lp_tcp_memory;
extern const struct lp_limit_kind lp_orphans;
extern const struct lp_limit_kind lp_conntrack_entries;
extern const struct lp_limit_kind lp_snat_ports;

/* Why no connections are tracked, one sentence. */
const char *lp_conntrack_absent(const struct lp_snapshot *snapshot);

/* An odd range of more than one port: __inet_hash_connect() may leave one out. */
bool lp_range_is_odd(const struct lp_netns *netns);

/* What a limit of a listener is of, for people: "0.0.0.0:443". */
void lp_where_listener(const struct lp_limit *limit, const char *arrow, char *buf, size_t size);

/*
 * bind(port 0) begins with the parity that connect() tries last. Ports of that parity in a pool
 * that is far from having used up the other one look chosen by bind().
 */
bool lp_pool_looks_bound(const struct lp_netns *netns, const struct lp_pool *pool);

/* tcp_max_tw_buckets is reached: TIME_WAITs end early and their timers tell too little. */
bool lp_time_wait_is_cut_short(const struct lp_netns *netns);

/* The TIME_WAITs of a pool; `live`, `aged` and `counts` are the caller's to set. */
void lp_flow_of_pool(const struct lp_netns *netns, const struct lp_pool *pool,
                     struct lp_flow *flow);
