/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lastport/lastport.h"
#include "view/view.h"

struct lastport_report {
	struct lp_report view;
	char **gaps; /* one sentence each */
};
