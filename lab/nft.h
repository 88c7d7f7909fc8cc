/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packet filter rules of one's own namespaces, through libnftables, which is opened only when it is
 * used (Debian: libnftables1). A namespace of NULL is the calling thread's. All return 0, or a
 * negative errno with a sentence in err: -ENOPKG when the library is not there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lab/ns.h"

/* Runs commands as nft(8) does. commands is a printf() format. -EINVAL when nft refused them. */
int lab_nft(const struct lab_ns *ns, struct lp_error *err, const char *commands, ...)
        __attribute__((format(printf, 3, 4)));

/* Has every packet of the namespace tracked. */
int lab_nft_track(const struct lab_ns *ns, struct lp_error *err);

/* Has no TCP packet tracked that goes to or comes from that port; the others as they were. */
int lab_nft_untrack(const struct lab_ns *ns, uint16_t port, struct lp_error *err);

/*
 * Translates the source of all TCP that leaves by that link to address and a port of first to last
 * (as a router does, which needs ipv4/ip_forward too). Has everything tracked.
 */
int lab_nft_snat(const struct lab_ns *ns, const char *link, const char *address, uint16_t first,
                 uint16_t last, struct lp_error *err);

/* Drops what comes in to that TCP port before anything else sees it. */
int lab_nft_drop(const struct lab_ns *ns, uint16_t port, struct lp_error *err);

/* Takes all rules away. What is tracked stays. */
int lab_nft_flush(const struct lab_ns *ns, struct lp_error *err);
