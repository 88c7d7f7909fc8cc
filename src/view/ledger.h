/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Views of what the ledger remembers. */

#include <stdio.h>

#include "snapshot/ledger.h"
#include "view/view.h"

/* For people; options->rows of each list at most. 0, or a negative errno of writing. */
int lp_view_ledger_text(const struct lp_ledger_facts *facts, const struct lp_text_options *options,
                        FILE *out);

/* JSON schema 1 in one line. 0, or a negative errno. */
int lp_view_ledger_json(const struct lp_ledger_facts *facts, FILE *out);
