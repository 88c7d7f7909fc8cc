/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/ctnetlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

int lp_ctnetlink_open(void)
{
	return lp_netlink_open(NETLINK_NETFILTER);
}

struct nlmsghdr *lp_ctnetlink_request(void *buffer, uint8_t message, uint16_t flags, uint8_t family,
                                      uint32_t sequence)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | message);
	request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	request->nlmsg_seq = sequence;
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->nfgen_family = family;
	info->version = NFNETLINK_V0;
	return request;
}

bool lp_ctnetlink_is(const struct nlmsghdr *header, uint8_t message,
                     struct lp_netlink_result *result)
{
	if (header->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | message))
		return false;
	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return true;
	result->truncated = true;
	return false;
}

static int keep(const struct nlattr *attribute, void *context)
{
	struct lp_ctnetlink_attributes *attributes = context;
	if (mnl_attr_get_type(attribute) < LP_CTNETLINK_TYPES)
		attributes->of[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

struct lp_ctnetlink_attributes lp_ctnetlink_attributes(const struct nlmsghdr *header)
{
	struct lp_ctnetlink_attributes attributes = {0};
	(void)mnl_attr_parse(header, sizeof(struct nfgenmsg), keep, &attributes);
	return attributes;
}

bool lp_ctnetlink_u32(const struct nlattr *attribute, uint32_t *ret)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
		return false;
	*ret = ntohl(mnl_attr_get_u32(attribute));
	return true;
}
