/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/array.h"

#include <stdlib.h>

bool lp_array_grow(void *items, size_t *room, size_t n, size_t size)
{
	void **base = items;
	if (n < *room)
		return true;
	size_t more = *room ? *room * 2 : 16, bytes;
	void *grown = __builtin_mul_overflow(more, size, &bytes) ? NULL : realloc(*base, bytes);
	if (!grown)
		return false;
	*base = grown;
	*room = more;
	return true;
}
