/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/claims/claims.h"

/* One a line, in the order of the table in the documentation. */
/* clang-format off */
const struct lab_claim *const lab_claims[] = {
	&lab_claim_time_wait_blocks_connect,
	&lab_claim_time_wait_means_not_yet_established,
	&lab_claim_client_holds_time_wait,
	&lab_claim_time_wait_lasts_four_minutes,
	&lab_claim_fin_timeout_shortens_time_wait,
	&lab_claim_time_wait_answers_a_lost_ack,
	&lab_claim_time_wait_stops_old_duplicates,
	&lab_claim_time_wait_costs_less_memory,
	&lab_claim_time_wait_holds_descriptors,
	&lab_claim_close_wait_holds_descriptors,
	&lab_claim_tuple_blocked_for_its_pair_only,
	&lab_claim_server_refuses_at_64k_per_client,
	&lab_claim_server_answers_with_rst,
	&lab_claim_time_wait_count_slows_the_stack,
	&lab_claim_port_search_cliff,
	&lab_claim_port_range_option_removes_cliff,
	&lab_claim_conntrack_full_drops_new,
	&lab_claim_conntrack_full_is_logged,
	&lab_claim_conntrack_old_names_work,
	&lab_claim_conntrack_fills_before_ports,
	&lab_claim_conntrack_outlives_time_wait,
	&lab_claim_tw_reuse_frees_ports,
	&lab_claim_tw_buckets_cut_short,
	&lab_claim_linger_zero_skips_time_wait,
	&lab_claim_bind_takes_ports_from_all,
	&lab_claim_snat_fails_before_full,
	&lab_claim_destroy_frees_time_wait,
	&lab_claim_backlog_holds_one_more,
	NULL,
};
/* clang-format on */
