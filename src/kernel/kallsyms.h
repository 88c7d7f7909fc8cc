/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of places in the kernel, from /proc/kallsyms. */

#include "kernel/kernel.h"

enum { LP_SYMBOL = 64 };

/* "ffffffff81f81290 T nf_hook_slow\t[module]": false where the line is none of code. */
bool lp_kallsyms_parse(const char *line, uint64_t *address, char name[LP_SYMBOL]);

/*
 * The function that an address is in: the last one that begins at it or before. The whole file is
 * read (120,000 lines: 30 ms), so ask once for each address. 0; -ENOENT where addresses are not
 * told to this user (kernel.kptr_restrict); another negative errno.
 */
int lp_kallsyms_find(const struct lp_kernel *kernel, uint64_t address, char name[LP_SYMBOL]);
