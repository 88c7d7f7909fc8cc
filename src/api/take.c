/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/take.h"

#include <string.h>

bool lp_take_struct(void *ours, size_t our_size, const void *theirs)
{
	size_t size = 0;
	if (!theirs)
		return false;
	memcpy(&size, theirs, sizeof(size));
	if (size <= sizeof(size) || size > our_size)
		return false;
	memset(ours, 0, our_size);
	memcpy(ours, theirs, size);
	return true;
}
