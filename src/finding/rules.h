/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each family of rules lives in a file of its own; judge.c lists them. */

#include "finding/rule.h"

extern const struct lp_rule lp_rule_short_connections;
extern const struct lp_rule lp_rule_local_ports_exhausted;
extern const struct lp_rule lp_rule_local_ports_near;
