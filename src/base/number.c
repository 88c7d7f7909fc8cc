/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/number.h"

#include <errno.h>

int lp_number_parse(const char **text, uint64_t max, uint64_t *ret)
{
	const char *at = *text;
	uint64_t n = 0;
	if (*at < '0' || *at > '9')
		return -EINVAL;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(n, 10U, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n) || n > max)
			return -ERANGE;
	}
	*text = at;
	*ret = n;
	return 0;
}

/* A line may end the text. */
static int at_end(const char *text)
{
	if (*text == '\n')
		text++;
	return *text ? -EINVAL : 0;
}

int lp_number_whole(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	int r = lp_number_parse(&text, max, &n);
	if (r == 0)
		r = at_end(text);
	if (r == 0)
		*ret = n;
	return r;
}

int lp_number_list(const char *text, uint64_t max, uint64_t *ret, unsigned n)
{
	uint64_t found[8];
	if (n > sizeof(found) / sizeof(found[0]))
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		while (*text == ' ' || *text == '\t')
			text++;
		int r = lp_number_parse(&text, max, &found[i]);
		if (r < 0)
			return r;
	}
	int r = at_end(text);
	for (unsigned i = 0; r == 0 && i < n; i++)
		ret[i] = found[i];
	return r;
}
