/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lastport/lastport.h"
#include "view/view.h"

/* How a caller wants text written, as views take it. 0, or -EINVAL for a bad size. */
int lp_options_text(const struct lastport_text_options *theirs, struct lp_text_options *ret);
