/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The figures of a machine that plans use, by the names that sysctl(8) has for them. */

#include "forecast/plan.h"

struct lp_plan_setting {
	const char *name; /* "net.ipv4.tcp_tw_reuse"; "nofile" is RLIMIT_NOFILE, "hz" 1/jiffy */
	size_t offset;    /* of the figure in struct lp_plan_machine */
	uint64_t most;
};

/* Those that are one whole number; ends with an entry without a name. */
extern const struct lp_plan_setting lp_plan_settings[];

/* NULL where none is called so. */
const struct lp_plan_setting *lp_plan_setting_find(const char *name);

static inline struct lp_figure *lp_plan_setting_figure(const struct lp_plan_setting *setting,
                                                       struct lp_plan_machine *machine)
{
	return (struct lp_figure *)(void *)((char *)machine + setting->offset);
}
