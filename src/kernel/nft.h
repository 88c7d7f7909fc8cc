/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libnftables, opened only when it is needed, so that who does not need it does not pay for it
 * (Debian: libnftables1). It works in the calling thread's namespace.
 */

#include <stdbool.h>

#include "base/error.h"

/*
 * Runs commands as nft(8) does. `ret`, if not NULL, gets what is printed: as JSON, which is the
 * caller's to free. 0, -ENOPKG when the library is not there, -EINVAL when nft refused, each with
 * the sentence in err.
 */
int lp_nft_run(const char *commands, char **ret, struct lp_error *err);
