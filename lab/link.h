/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Links, addresses and routes, by rtnetlink. A namespace of NULL is the calling thread's. Networks
 * are written as people do: "10.0.0.1/24", "fd00::1/64"; without a slash, one address. All return
 * 0, or a negative errno with a sentence in err. When they return, what they made can be used.
 */

#include "lab/ns.h"

/* Two ends of a wire, both up and with carrier. Names are at most 15 bytes. */
int lab_veth(const struct lab_ns *a, const char *name_a, const struct lab_ns *b, const char *name_b,
             struct lp_error *err);

/* Sets a link up; does not wait for a carrier. */
int lab_link_up(const struct lab_ns *ns, const char *link, struct lp_error *err);

/* Sets a link down: with a veth the other end loses its carrier. */
int lab_link_down(const struct lab_ns *ns, const char *link, struct lp_error *err);

/*
 * IPv6 without duplicate address detection, and usable on return where the link is up and has a
 * carrier.
 */
int lab_address(const struct lab_ns *ns, const char *link, const char *network,
                struct lp_error *err);

/* n consecutive addresses: text has the first. At most 65536. About 10 µs each. */
int lab_addresses(const struct lab_ns *ns, const char *link, const char *text, unsigned n,
                  struct lp_error *err);

/* A route to a network ("0.0.0.0/0" or "::/0" for all) by a gateway, a link, or both. */
int lab_route(const struct lab_ns *ns, const char *text, const char *gateway, const char *link,
              struct lp_error *err);

/*
 * Every address of the network is the namespace's own: any number of addresses for one request.
 * With IPv6 this sets ip_nonlocal_bind in the namespace, without which bind() refuses them.
 */
int lab_route_local(const struct lab_ns *ns, const char *text, struct lp_error *err);
