/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What processes run, by their executables. */

#include "kernel/kernel.h"

enum { LP_PROGRAMS = 64 }; /* looked at, of those that were asked for */

/*
 * Appends what these processes run to snapshot->programs, each once. Of one that may not be looked
 * into, or that is gone, the runtime stays untold: advice is then in general words. 0 or -ENOMEM.
 */
int lp_programs_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                     const pid_t *pids, size_t n);
