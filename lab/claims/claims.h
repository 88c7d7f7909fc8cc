/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lab/claim.h"

/* One file a claim, of the same name. Listed in claims.c. */
extern const struct lab_claim lab_claim_time_wait_blocks_connect;
extern const struct lab_claim lab_claim_time_wait_means_not_yet_established;
extern const struct lab_claim lab_claim_client_holds_time_wait;
extern const struct lab_claim lab_claim_time_wait_lasts_four_minutes;
extern const struct lab_claim lab_claim_fin_timeout_shortens_time_wait;
extern const struct lab_claim lab_claim_time_wait_answers_a_lost_ack;
extern const struct lab_claim lab_claim_time_wait_stops_old_duplicates;
extern const struct lab_claim lab_claim_time_wait_costs_less_memory;
extern const struct lab_claim lab_claim_time_wait_holds_descriptors;
extern const struct lab_claim lab_claim_close_wait_holds_descriptors;
extern const struct lab_claim lab_claim_tuple_blocked_for_its_pair_only;
extern const struct lab_claim lab_claim_server_refuses_at_64k_per_client;
extern const struct lab_claim lab_claim_server_answers_with_rst;
extern const struct lab_claim lab_claim_time_wait_count_slows_the_stack;
extern const struct lab_claim lab_claim_port_search_cliff;
extern const struct lab_claim lab_claim_port_range_option_removes_cliff;
extern const struct lab_claim lab_claim_conntrack_full_drops_new;
extern const struct lab_claim lab_claim_conntrack_full_is_logged;
extern const struct lab_claim lab_claim_conntrack_old_names_work;
extern const struct lab_claim lab_claim_conntrack_fills_before_ports;
extern const struct lab_claim lab_claim_conntrack_outlives_time_wait;
extern const struct lab_claim lab_claim_tw_reuse_frees_ports;
extern const struct lab_claim lab_claim_tw_buckets_cut_short;
extern const struct lab_claim lab_claim_linger_zero_skips_time_wait;
extern const struct lab_claim lab_claim_bind_takes_ports_from_all;
extern const struct lab_claim lab_claim_snat_fails_before_full;
extern const struct lab_claim lab_claim_destroy_frees_time_wait;
extern const struct lab_claim lab_claim_backlog_holds_one_more;
