/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/options.h"

#include <errno.h>

int lp_options_text(const struct lastport_text_options *theirs, struct lp_text_options *ret)
{
	if (theirs->size != sizeof(*theirs))
		return -EINVAL;
	*ret = (struct lp_text_options){
	        .width = theirs->width ? theirs->width : 80,
	        .colour = theirs->colour,
	        .unicode = theirs->unicode,
	        .rows = theirs->rows,
	};
	return 0;
}
