/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parts of the JSON, each a new value; NULL when memory is short. Inner header of src/view. */

#include <jansson.h>

#include "view/view.h"

/* {"inode":…,"name":…} */
json_t *lp_json_netns(const struct lp_netns *netns);

/* {"findings":[…],"not_judged":[…]} */
json_t *lp_json_findings(const struct lp_report *report);
