/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/claims/claims.h"

const struct lab_claim *const lab_claims[] = {
        &lab_claim_time_wait_holds_descriptors,
        NULL,
};
