/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h> /* AF_INET and AF_INET6, the values of `family` */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An IP address in network byte order. IPv4 uses the first four bytes, the rest is 0; IPv4-mapped
 * IPv6 is folded into IPv4, as the kernel's tuples are. `ifindex` is the scope of a link-local
 * IPv6 address, else 0. No padding: compared and hashed as bytes.
 */
struct lp_address {
	uint8_t bytes[16];
	uint32_t ifindex;
	uint16_t family; /* AF_INET or AF_INET6; 0 means no address */
	uint16_t zero;
};
_Static_assert(sizeof(struct lp_address) == 24, "no padding: compared as bytes");

enum { LP_ADDRESS_TEXT = 64 };

/* Folds IPv4-mapped; keeps ifindex only for link-local. family is AF_INET or AF_INET6. */
struct lp_address lp_address_make(int family, const void *bytes, uint32_t ifindex);

/* 0.0.0.0 or ::, by family. */
struct lp_address lp_address_any(int family);

bool lp_address_equal(const struct lp_address *a, const struct lp_address *b);

/* Whether an address is the one that somebody wrote: without a scope it is meant on every link. */
bool lp_address_is_meant(const struct lp_address *written, const struct lp_address *a);

bool lp_address_is_any(const struct lp_address *a);

/* 127/8 and ::1: what tcp_tw_reuse=2 calls loopback (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). */
bool lp_address_is_loopback(const struct lp_address *a);

/* "10.0.0.1", "fe80::1%3"; buf has LP_ADDRESS_TEXT bytes. Returns buf. */
const char *lp_address_text(const struct lp_address *a, char buf[LP_ADDRESS_TEXT]);

/* With the port, as people write it: "10.0.0.1:80", "[::1]:80". buf has LP_ADDRESS_TEXT bytes. */
const char *lp_address_port_text(const struct lp_address *a, uint16_t port,
                                 char buf[LP_ADDRESS_TEXT]);

/*
 * Parses "10.0.0.1", "::1", "fe80::1%3" or "fe80::1%eth0". 0, or -EINVAL and *ret untouched.
 */
int lp_address_parse(const char *text, struct lp_address *ret);

/* Parses "10.0.0.1:80" or "[::1]:80", port 1 to 65535. 0, or -EINVAL and nothing set. */
int lp_address_port_parse(const char *text, struct lp_address *ret, uint16_t *ret_port);
