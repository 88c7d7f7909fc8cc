/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All of the lab. */

#include "lab/conntrack.h"
#include "lab/link.h"
#include "lab/nft.h"
#include "lab/ns.h"
#include "lab/pace.h"
#include "lab/process.h"
#include "lab/router.h"
#include "lab/segment.h"
#include "lab/server.h"
#include "lab/socket.h"
