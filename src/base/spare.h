/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Descriptors that are kept free: what is opened once and for long, while they are held, leaves so
 * many for what is opened now and then.
 */

enum { LP_SPARE = 10 };

struct lp_spare {
	int fds[LP_SPARE];
	int n;
};

/* 0; or a negative errno: there are not so many, and none is held. */
int lp_spare_hold(struct lp_spare *spare);
void lp_spare_drop(struct lp_spare *spare);
