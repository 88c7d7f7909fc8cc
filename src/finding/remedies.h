/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What helps where ports run short, for every rule that ends there. Inner header of src/finding. */

#include "finding/rule.h"
#include "forecast/outlook.h"

/* How to keep connections open, and what that risks; `requests` is what the figures are for. */
void lp_remedy_reuse_steps(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_remedy *remedy, unsigned requests);

/* Of a subject that is the pool of a destination. All add what applies here, and nothing else. */
void lp_remedy_reuse_connections(const struct lp_judging *judging, const struct lp_subject *subject,
                                 struct lp_finding *finding);
void lp_remedy_more_sources(const struct lp_judging *judging, const struct lp_subject *subject,
                            struct lp_finding *finding);
void lp_remedy_wider_range(const struct lp_judging *judging, const struct lp_subject *subject,
                           struct lp_finding *finding);
void lp_remedy_tw_reuse(const struct lp_judging *judging, const struct lp_subject *subject,
                        struct lp_finding *finding);

/* All of these: what there is to do where a pool runs short. For a rule's `advise`. */
void lp_remedies_of_pool(const struct lp_judging *judging, const struct lp_subject *subject,
                         struct lp_finding *finding);
