/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast/setting.h"

#include <string.h>

#define AT(field) offsetof(struct lp_plan_machine, field)

const struct lp_plan_setting lp_plan_settings[] = {
        {"net.ipv4.tcp_tw_reuse", AT(tw_reuse), 2},
        {"net.ipv4.tcp_tw_reuse_delay", AT(tw_reuse_delay_ms), UINT32_MAX},
        {"net.ipv4.tcp_timestamps", AT(timestamps), 2},
        {"net.ipv4.tcp_max_tw_buckets", AT(max_tw_buckets), INT32_MAX},
        {"net.core.somaxconn", AT(somaxconn), INT32_MAX},
        {"net.netfilter.nf_conntrack_max", AT(conntrack_max), INT32_MAX},
        {"net.netfilter.nf_conntrack_count", AT(conntrack_entries), INT32_MAX},
        {"net.netfilter.nf_conntrack_buckets", AT(conntrack_buckets), INT32_MAX},
        {"net.netfilter.nf_conntrack_tcp_timeout_time_wait", AT(conntrack_time_wait_s), UINT32_MAX},
        {"fs.file-max", AT(file_max), UINT64_MAX},
        {"nofile", AT(descriptors), UINT64_MAX},
        {0},
};

const struct lp_plan_setting *lp_plan_setting_find(const char *name)
{
	for (const struct lp_plan_setting *setting = lp_plan_settings; setting->name; setting++)
		if (!strcmp(setting->name, name))
			return setting;
	return NULL;
}
