/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

/*
 * A stream to a descriptor, of which neither is closed with it. It waits for a reader that stalls;
 * once `stop` is readable, for a second at a time: then writing fails with ETIMEDOUT. NULL with
 * errno: out of memory.
 */
FILE *patient_open(int fd, int stop);
