/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/spare.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

int lp_spare_hold(struct lp_spare *spare)
{
	*spare = (struct lp_spare){0};
	while (spare->n < LP_SPARE) {
		int fd = open("/", O_PATH | O_CLOEXEC);
		if (fd < 0) {
			int r = lp_errno();
			lp_spare_drop(spare);
			return r;
		}
		spare->fds[spare->n++] = fd;
	}
	return 0;
}

void lp_spare_drop(struct lp_spare *spare)
{
	while (spare->n > 0)
		(void)close(spare->fds[--spare->n]);
}
