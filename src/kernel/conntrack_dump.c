/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/conntrack_dump.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/ctnetlink.h"

/* ---- one message --------------------------------------------------------------------------- */

/*
 * A quarter of a million of them are decoded in a look, so the attributes are walked in place, each
 * once. Returns what was found: bits below.
 */
enum { FROM = 1 << 0, TO = 1 << 1, PROTOCOL = 1 << 2, WHOLE = FROM | TO | PROTOCOL };

static unsigned take_bytes(const struct nlattr *attribute, size_t size, uint8_t *to, unsigned found)
{
	if (mnl_attr_get_payload_len(attribute) != size)
		return 0;
	memcpy(to, mnl_attr_get_payload(attribute), size);
	return found;
}

static unsigned decode_ip(const struct nlattr *nest, struct lp_conntrack_tuple *tuple)
{
	enum { FOUR = 4, SIX = 16 };
	const struct nlattr *attribute;
	unsigned found = 0;
	struct lp_nlattrs attributes = lp_nlattrs_in(nest);
	while ((attribute = lp_nlattrs_next(&attributes))) {
		switch (mnl_attr_get_type(attribute)) {
		case CTA_IP_V4_SRC:
			found |= take_bytes(attribute, FOUR, tuple->from, FROM);
			break;
		case CTA_IP_V4_DST:
			found |= take_bytes(attribute, FOUR, tuple->to, TO);
			break;
		case CTA_IP_V6_SRC:
			found |= take_bytes(attribute, SIX, tuple->from, FROM);
			break;
		case CTA_IP_V6_DST:
			found |= take_bytes(attribute, SIX, tuple->to, TO);
			break;
		default:
			break;
		}
	}
	return found;
}

static uint16_t port_of(const struct nlattr *attribute)
{
	return mnl_attr_get_payload_len(attribute) == sizeof(uint16_t)
	               ? ntohs(mnl_attr_get_u16(attribute))
	               : 0;
}

static unsigned decode_protocol(const struct nlattr *nest, struct lp_conntrack_tuple *tuple,
                                uint8_t *protocol)
{
	const struct nlattr *attribute;
	unsigned found = 0;
	struct lp_nlattrs attributes = lp_nlattrs_in(nest);
	while ((attribute = lp_nlattrs_next(&attributes))) {
		switch (mnl_attr_get_type(attribute)) {
		case CTA_PROTO_NUM:
			found |= take_bytes(attribute, 1, protocol, PROTOCOL);
			break;
		case CTA_PROTO_SRC_PORT:
			tuple->from_port = port_of(attribute);
			break;
		case CTA_PROTO_DST_PORT:
			tuple->to_port = port_of(attribute);
			break;
		default:
			break;
		}
	}
	return found;
}

static bool decode_tuple(const struct nlattr *nest, struct lp_conntrack_tuple *tuple,
                         uint8_t *protocol)
{
	const struct nlattr *attribute;
	unsigned found = 0;
	struct lp_nlattrs attributes = lp_nlattrs_in(nest);
	while ((attribute = lp_nlattrs_next(&attributes))) {
		if (mnl_attr_get_type(attribute) == CTA_TUPLE_IP)
			found |= decode_ip(attribute, tuple);
		else if (mnl_attr_get_type(attribute) == CTA_TUPLE_PROTO)
			found |= decode_protocol(attribute, tuple, protocol);
	}
	return found == WHOLE;
}

/* CTA_PROTOINFO holds CTA_PROTOINFO_TCP, and that the state. */
static uint8_t decode_state(const struct nlattr *nest)
{
	const struct nlattr *tcp, *attribute;
	uint8_t state = 0;
	struct lp_nlattrs protocols = lp_nlattrs_in(nest);
	while ((tcp = lp_nlattrs_next(&protocols))) {
		struct lp_nlattrs attributes = lp_nlattrs_in(tcp);
		if (mnl_attr_get_type(tcp) != CTA_PROTOINFO_TCP)
			continue;
		while ((attribute = lp_nlattrs_next(&attributes)))
			if (mnl_attr_get_type(attribute) == CTA_PROTOINFO_TCP_STATE)
				(void)take_bytes(attribute, 1, &state, 0);
	}
	return state;
}

bool lp_conntrack_decode(const struct nlmsghdr *header, struct lp_conntrack_entry *ret,
                         struct lp_netlink_result *result)
{
	if (!lp_ctnetlink_is(header, IPCTNL_MSG_CT_NEW, result))
		return false;
	const struct nfgenmsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	bool original = false, reply = false;
	uint8_t protocol = 0;
	memset(ret, 0, sizeof(*ret));
	ret->family = info->nfgen_family;
	struct lp_nlattrs attributes = lp_nlattrs_of(header, sizeof(*info));
	while ((attribute = lp_nlattrs_next(&attributes))) {
		switch (mnl_attr_get_type(attribute)) {
		case CTA_TUPLE_ORIG:
			original = decode_tuple(attribute, &ret->original, &ret->protocol);
			break;
		case CTA_TUPLE_REPLY:
			reply = decode_tuple(attribute, &ret->reply, &protocol);
			break;
		case CTA_STATUS:
			(void)lp_ctnetlink_u32(attribute, &ret->status);
			break;
		case CTA_TIMEOUT:
			(void)lp_ctnetlink_u32(attribute, &ret->left_s);
			break;
		case CTA_ZONE:
			ret->zoned = true;
			break;
		case CTA_PROTOINFO:
			ret->state = decode_state(attribute);
			break;
		default:
			break;
		}
	}
	if (original && reply && (ret->family == AF_INET || ret->family == AF_INET6))
		return true;
	result->truncated = true;
	return false;
}

/* ---- all of them --------------------------------------------------------------------------- */

struct taker {
	lp_conntrack_function function;
	void *context;
	const struct lp_conntrack_filter *filter;
};

static int take(const struct nlmsghdr *header, void *context, struct lp_netlink_result *result)
{
	const struct taker *taker = context;
	struct lp_conntrack_entry entry;
	if (lp_conntrack_decode(header, &entry, result) &&
	    (entry.status & taker->filter->mask) == taker->filter->status)
		taker->function(&entry, taker->context);
	return 0;
}

int lp_conntrack_ask(int fd, const struct lp_conntrack_filter *filter, uint32_t sequence,
                     lp_netlink_function function, void *context, struct lp_netlink_result *result)
{
	_Alignas(8) char buffer[128];
	struct nlmsghdr *request =
	        lp_ctnetlink_request(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, sequence);
	if (filter->mask) {
		mnl_attr_put_u32(request, CTA_STATUS, htonl(filter->status));
		mnl_attr_put_u32(request, CTA_STATUS_MASK, htonl(filter->mask));
	}
	return lp_netlink_ask(fd, request, function, context, result);
}

int lp_conntrack_dump(int fd, const struct lp_conntrack_filter *filter, uint32_t sequence,
                      lp_conntrack_function function, void *context,
                      struct lp_netlink_result *result)
{
	struct taker taker = {function, context, filter};
	return lp_conntrack_ask(fd, filter, sequence, take, &taker, result);
}
