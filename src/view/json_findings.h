/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "finding/finding.h"

/* {"findings":[…],"not_judged":[…]}, new; NULL when memory is short. Inner header of src/view. */
json_t *lp_json_findings(const struct lp_findings *findings);
