/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes room for one more element in a growing array: *items has *room elements of `size` bytes,
 * n of them used. Doubles. Returns false when memory is short; the array is then as it was.
 */
bool lp_array_grow(void *items, size_t *room, size_t n, size_t size);
