/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "view/view.h"

/*
 * From two looks, `seconds` apart: by how much each limit grew, into the forecasts of `now` that
 * one look could not tell. A limit that was not there before is left alone. And by how much
 * the kernel's counters grew, into each namespace of now's snapshot. 0 or -ENOMEM.
 */
int lp_growth(const struct lp_report *before, struct lp_report *now, double seconds);
