/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/kernel.h"
#include "view/view.h"

/* What the processes run that a finding may name: those that press a limit. 0 or -ENOMEM. */
int lp_report_programs(const struct lp_kernel *kernel, struct lp_report *report);
