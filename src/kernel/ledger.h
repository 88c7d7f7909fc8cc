/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads the ledger that src/action/ledger.c has pinned: its tables are mapped, so that asking for
 * a socket is no call. bpf/ledger.h says what is in them.
 */

#include "base/error.h"
#include "bpf/ledger.h"
#include "kernel/kernel.h"
#include "snapshot/ledger.h"

struct lp_ledger;

/* The BPF file system: the variable LASTPORT_BPFFS, else /sys/fs/bpf. */
const char *lp_bpffs(void);
bool lp_bpffs_is_usual(const char *bpffs); /* /sys/fs/bpf, where it need not be mounted */

/* Its folder, opened. -EMEDIUMTYPE with err set: none is mounted there. Else as open(). */
int lp_bpffs_open(const char *bpffs, struct lp_error *err);

/*
 * Opens the ledger pinned below this BPF file system. -ENOENT: it is off; -EMEDIUMTYPE: no such
 * file system is there, though it was named; -EACCES, -EPERM: it may not be read; -EPROTO: it is of
 * another version of lastport; -EUCLEAN: it is pinned half only. `why` says it in a sentence. *ret
 * is the caller's.
 */
int lp_ledger_open(const char *bpffs, struct lp_ledger **ret, struct lp_error *why);
/* The same of one that is not pinned: `open` gives a new descriptor of each piece by its name. */
int lp_ledger_open_by(int (*open)(void *context, const char *name), void *context,
                      struct lp_ledger **ret, struct lp_error *why);
void lp_ledger_close(struct lp_ledger *ledger);
static inline void lp_ledger_closep(struct lp_ledger **ledger)
{
	lp_ledger_close(*ledger);
}

/* What is remembered of one socket. */
struct lp_ledger_life {
	uint32_t opener, closer; /* for lp_ledger_party(); LP_LEDGER_NOBODY: not known */
	unsigned flags;          /* LP_LEDGER_CLOSED_FIRST … of bpf/ledger.h */
};

/*
 * The socket with this cookie (a TIME_WAIT keeps its socket's). False where nothing is remembered:
 * it was made before the ledger was turned on, was accepted and did not close first, or gave way.
 */
bool lp_ledger_find(const struct lp_ledger *ledger, uint64_t cookie, struct lp_ledger_life *ret);

/* Who that is. False: not known, or its row was given to another one since. */
bool lp_ledger_party(const struct lp_ledger *ledger, uint32_t who, struct lp_ledger_party *ret);

/* Since when, in ms since the epoch. */
int64_t lp_ledger_since_ms(const struct lp_ledger *ledger);

/* Sockets whose closer was forgotten while their TIME_WAIT may have been there. */
uint64_t lp_ledger_lost(const struct lp_ledger *ledger);

/* Everything but the sockets. 0 or -ENOMEM; *ret is the caller's. */
int lp_ledger_read(const struct lp_ledger *ledger, const struct lp_kernel *kernel,
                   struct lp_ledger_facts **ret);

/* Whether that process still runs: its number may have been given to another one since. */
bool lp_ledger_party_runs(const struct lp_kernel *kernel, const struct lp_ledger_party *party);

/*
 * Of processes that had this number leaves the one that has it, or the last one where none runs.
 * For a caller whose numbers are the ledger's: not other_pids.
 */
void lp_ledger_mean(const struct lp_kernel *kernel, pid_t pid, struct lp_ledger_facts *facts);

/* Sockets that it can remember. */
uint64_t lp_ledger_sockets(const struct lp_ledger *ledger);
