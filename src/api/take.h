/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies a caller's struct, which may be of an older version (shorter: the rest is zero) but not
 * of a newer one, whose extra wishes would be lost. False when it is no struct of ours.
 */
bool lp_take_struct(void *ours, size_t our_size, const void *theirs);
