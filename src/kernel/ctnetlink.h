/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ctnetlink (linux/netfilter/nfnetlink_conntrack.h): requests, and the attributes of answers. */

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "kernel/netlink.h"

/* A NETLINK_NETFILTER socket in the calling thread's namespace, or negative errno. */
int lp_ctnetlink_open(void);

/*
 * Begins a request in the buffer: IPCTNL_MSG_CT_… of one family, or of both (AF_UNSPEC). `flags`
 * are those of netlink besides NLM_F_REQUEST.
 */
struct nlmsghdr *lp_ctnetlink_request(void *buffer, uint8_t message, uint16_t flags, uint8_t family,
                                      uint32_t sequence);

/* Whether it is a message of ctnetlink's that is long enough; else `truncated` is set. */
bool lp_ctnetlink_is(const struct nlmsghdr *header, uint8_t message,
                     struct lp_netlink_result *result);

/*
 * Attributes one after the other, for what is decoded very often; it ends at the first one that
 * does not fit.
 */
struct lp_nlattrs {
	const char *at;
	size_t left;
};
static inline struct lp_nlattrs lp_nlattrs_in(const struct nlattr *nest)
{
	return (struct lp_nlattrs){mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest)};
}
static inline struct lp_nlattrs lp_nlattrs_of(const struct nlmsghdr *header, size_t behind)
{
	return (struct lp_nlattrs){(const char *)header + NLMSG_LENGTH(behind),
	                           header->nlmsg_len - NLMSG_LENGTH(behind)};
}
static inline const struct nlattr *lp_nlattrs_next(struct lp_nlattrs *attributes)
{
	const struct nlattr *attribute = (const void *)attributes->at;
	if (attributes->left < sizeof(*attribute) || attribute->nla_len < sizeof(*attribute) ||
	    attribute->nla_len > attributes->left)
		return NULL;
	size_t step = (size_t)NLA_ALIGN(attribute->nla_len);
	if (step > attributes->left)
		step = attributes->left;
	attributes->at += step;
	attributes->left -= step;
	return attribute;
}

/* Attributes by their type; those that a table has no place for are left out. */
enum { LP_CTNETLINK_TYPES = 32 };
struct lp_ctnetlink_attributes {
	const struct nlattr *of[LP_CTNETLINK_TYPES];
};
struct lp_ctnetlink_attributes lp_ctnetlink_attributes(const struct nlmsghdr *header);

/* A number in network order. False, and *ret untouched, where there is none of that size. */
bool lp_ctnetlink_u32(const struct nlattr *attribute, uint32_t *ret);
