/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/owners.h"
#include "view/view.h"

/* Finds the owners of those pools of the report that are nearest to full. 0 or -ENOMEM. */
int lp_report_owners(const struct lp_kernel *kernel, struct lp_owner_notes *notes,
                     struct lp_report *report);
