/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each family of rules lives in a file of its own; judge.c lists them. */

#include "finding/rule.h"

extern const struct lp_rule lp_rule_short_connections;
extern const struct lp_rule lp_rule_bind_before_connect;
extern const struct lp_rule lp_rule_close_wait_leak;
extern const struct lp_rule lp_rule_tw_buckets_lowered;
extern const struct lp_rule lp_rule_server_closes_first;
extern const struct lp_rule lp_rule_conntrack_outlives_time_wait;
extern const struct lp_rule lp_rule_connects_refused;
extern const struct lp_rule lp_rule_local_ports_exhausted;
extern const struct lp_rule lp_rule_local_ports_near;
extern const struct lp_rule lp_rule_port_search_slow;
extern const struct lp_rule lp_rule_client_ports_near;
extern const struct lp_rule lp_rule_conntrack_full;
extern const struct lp_rule lp_rule_conntrack_near;
extern const struct lp_rule lp_rule_conntrack_hash_small;
extern const struct lp_rule lp_rule_snat_ports_exhausted;
extern const struct lp_rule lp_rule_snat_ports_near;
extern const struct lp_rule lp_rule_accept_queue_overflow;
extern const struct lp_rule lp_rule_descriptors_near;
extern const struct lp_rule lp_rule_time_wait_overflow;
extern const struct lp_rule lp_rule_paws_behind_snat;
extern const struct lp_rule lp_rule_tw_reuse_without_timestamps;
extern const struct lp_rule lp_rule_range_overlaps_listener;
extern const struct lp_rule lp_rule_range_bounds_same_parity;
extern const struct lp_rule lp_rule_myth_in_sysctl_config;
extern const struct lp_rule lp_rule_sysctl_config_without_effect;

/* Whether connect() to a pool takes a good part of a CPU to search for ports. */
bool lp_port_search_is_slow(const struct lp_judging *judging, const struct lp_subject *subject);
