/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the ledger says for and against a cause: connects that it saw refused, and who closed what
 * is in TIME_WAIT. Without it, that nobody remembers these.
 */

#include "finding/explain.h"

/* Of local ports: what speaks for and against, and how likely that makes the cause. */
void lp_explain_refused(const struct lp_facts *facts, const struct lp_query *query,
                        struct lp_cause *cause);

/* What there is to say of the whole explanation: of a process; that the ledger is off. */
void lp_explain_ledger(const struct lp_facts *facts, struct lp_explanation *to);
