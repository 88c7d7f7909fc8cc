/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/trace.h"

/* What the kernel counts of each namespace: /proc/net/netstat. For everybody. */
extern const struct lp_trace_source lp_trace_counters;
