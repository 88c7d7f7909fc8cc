/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/plan.h"

struct lp_plan_machine lp_plan_machine_of(const struct lp_snapshot *snapshot,
                                          const struct lp_netns *netns,
                                          const struct lp_process *process)
{
	const struct lp_machine *machine = &snapshot->machine;
	struct lp_plan_machine ret = {
	        .range_low = netns->range_low,
	        .range_high = netns->range_high,
	        .tw_reuse = netns->tw_reuse,
	        .tw_reuse_delay_ms = netns->tw_reuse_delay_ms,
	        .timestamps = netns->timestamps,
	        .tick_us = machine->tick_us,
	        .max_tw_buckets = netns->max_tw_buckets,
	        .time_wait = netns->time_wait,
	        .nr_open = machine->nr_open,
	        .file_max = machine->file_max,
	        .files = machine->file_allocated,
	        .conntrack_max = netns->conntrack_max,
	        .conntrack_entries = netns->conntrack_entries,
	        .conntrack_buckets = netns->conntrack_buckets,
	        .conntrack_time_wait_s = netns->conntrack_time_wait_s,
	        .somaxconn = netns->somaxconn,
	        .time_wait_size = machine->time_wait_size,
	        .bind_bucket_size = machine->bind_bucket_size,
	        .tracks = netns->conntrack_entries.known && netns->conntrack_entries.n > 0,
	};
	uint32_t range = lp_netns_range_ports(netns);
	if (netns->range_low.known && netns->sockets_read)
		ret.ports = lp_figure(range > netns->held ? range - netns->held : 0);
	if (netns->reserved_ports)
		ret.reserved = *netns->reserved_ports;
	if (process)
		ret.descriptors = lp_figure(process->limit);
	return ret;
}

uint64_t lp_plan_not_reserved(const struct lp_plan_machine *machine, uint64_t low, uint64_t high)
{
	return high - low + 1 - lp_port_count(&machine->reserved, (uint32_t)low, (uint32_t)high);
}

bool lp_plan_lacks_ports(const struct lp_plan_wishes *wishes, const struct lp_plan_machine *machine)
{
	return wishes->role == LP_PLAN_CLIENT && !machine->ports.known;
}
