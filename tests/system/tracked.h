/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A namespace in which every connection is tracked, with a listener on 127.0.0.1:80 in it. */

#include "lab/lab.h"

struct tracked {
	struct lab_ns ns;
	int listener;
	struct lab_addr to;
};

void track(struct tracked *t);
void untrack(struct tracked *t);
