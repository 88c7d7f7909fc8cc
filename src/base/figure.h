/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A number that may not be known. Absent is not zero: test `known` before `n`. */
struct lp_figure {
	uint64_t n;
	bool known;
};

static inline struct lp_figure lp_figure(uint64_t n)
{
	return (struct lp_figure){.n = n, .known = true};
}

/* A fraction that may not be known. */
struct lp_real {
	double n;
	bool known;
};

static inline struct lp_real lp_real(double n)
{
	return (struct lp_real){.n = n, .known = true};
}
