/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lab/claim.h"

/* One file a claim, of the same name. Listed in claims.c. */
extern const struct lab_claim lab_claim_time_wait_holds_descriptors;
