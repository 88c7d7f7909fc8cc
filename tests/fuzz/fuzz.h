/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One input of a fuzz target; returns 0. Called by the fuzzing engine, or by replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
