/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Turns the ledger on and off: programs and tables pinned below a BPF file system, where they
 * outlive whoever did it. Two at once wait for each other; one that was killed half-way leaves
 * what the next one, on or off, clears away.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
	LP_LEDGER_MEMORY_MIB = 32, /* for all tables, where nothing else is wished */
	LP_LEDGER_MEMORY_LEAST_MIB = 1,
	LP_LEDGER_MEMORY_MOST_MIB = 2048,
};

enum lp_ledger_change {
	LP_LEDGER_UNCHANGED, /* it was so before */
	LP_LEDGER_BEGUN,     /* on or off now, and was not before */
	LP_LEDGER_REPLACED,  /* on anew: of another version or size, or half only */
};

struct lp_ledger_wish {
	const char *bpffs;   /* where a BPF file system is mounted */
	uint32_t memory_mib; /* 0: what it has, or LP_LEDGER_MEMORY_MIB */
};

/*
 * Makes it be on, with what it remembers left alone where it is so already. 0 and *ret; else a
 * negative errno and `err`: -EPERM what is missing, -EMEDIUMTYPE no BPF file system is there,
 * -EBUSY another one is at it, -EOPNOTSUPP this kernel or this build can't. Where it fails, what
 * was on before still is.
 */
int lp_ledger_on(const struct lp_ledger_wish *wish, enum lp_ledger_change *ret,
                 struct lp_error *err);

/* Makes it be off, without a trace. As above. */
int lp_ledger_off(const char *bpffs, enum lp_ledger_change *ret, struct lp_error *err);
