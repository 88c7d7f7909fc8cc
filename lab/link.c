/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "lab/netlink.h"

enum { BUFFER = LAB_NETLINK_BUFFER, UP_TIMEOUT_MS = 5000 };

struct network {
	struct lp_address address;
	unsigned prefix;
};

static size_t address_size(const struct lp_address *a)
{
	return a->family == AF_INET ? 4 : 16;
}

static int network_parse(const char *text, struct network *ret, struct lp_error *err)
{
	struct network n = {0};
	char plain[LP_ADDRESS_TEXT];
	size_t length = strcspn(text, "/");
	if (length >= sizeof(plain))
		return lp_fail(err, EINVAL, "%s: not a network", text);
	memcpy(plain, text, length);
	plain[length] = '\0';
	if (lp_address_parse(plain, &n.address) < 0)
		return lp_fail(err, EINVAL, "%s: not a network", text);
	unsigned most = (unsigned)address_size(&n.address) * 8;
	n.prefix = text[length] ? (unsigned)strtoul(text + length + 1, NULL, 10) : most;
	if (n.prefix > most)
		return lp_fail(err, EINVAL, "%s: not a network", text);
	*ret = n;
	return 0;
}

/* One request in one namespace. what and name are for the message. */
static int request_in(const struct lab_ns *ns, struct nlmsghdr *request, const char *what,
                      const char *name, struct lp_error *err)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	_cleanup_(lab_netlink_close) struct mnl_socket *nl = lab_netlink_open(NETLINK_ROUTE, 0);
	if (!nl)
		return lp_fail(err, errno, "netlink: %s", strerror(errno));
	int r = lab_netlink_talk(nl, request, NULL, NULL);
	if (r < 0)
		return lp_fail(err, -r, "%s %s: %s", what, name, strerror(-r));
	return 0;
}

static int set_flags(const struct lab_ns *ns, const char *link, unsigned flags,
                     struct lp_error *err)
{
	_Alignas(8) char buf[BUFFER];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = RTM_NEWLINK;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_change = IFF_UP;
	info->ifi_flags = flags;
	mnl_attr_put_strz(request, IFLA_IFNAME, link);
	return request_in(ns, request, flags ? "link up" : "link down", link, err);
}

int lab_link_up(const struct lab_ns *ns, const char *link, struct lp_error *err)
{
	return set_flags(ns, link, IFF_UP, err);
}

int lab_link_down(const struct lab_ns *ns, const char *link, struct lp_error *err)
{
	return set_flags(ns, link, 0, err);
}

static int read_flags(const struct nlmsghdr *answer, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(answer);
	*(unsigned *)data = info->ifi_flags;
	return MNL_CB_OK;
}

/* The events are subscribed to before the first question, so that none is missed. */
static int wait_running(const struct lab_ns *ns, const char *link, struct lp_error *err)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	_cleanup_(lab_netlink_close) struct mnl_socket *events =
	        lab_netlink_open(NETLINK_ROUTE, RTMGRP_LINK);
	_cleanup_(lab_netlink_close) struct mnl_socket *nl = lab_netlink_open(NETLINK_ROUTE, 0);
	if (!events || !nl)
		return lp_fail(err, errno, "netlink: %s", strerror(errno));

	int64_t deadline = lp_clock_ns() + UP_TIMEOUT_MS * INT64_C(1000000);
	for (;;) {
		_Alignas(8) char buf[BUFFER];
		struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
		request->nlmsg_type = RTM_GETLINK;
		struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
		info->ifi_family = AF_UNSPEC;
		mnl_attr_put_strz(request, IFLA_IFNAME, link);
		unsigned flags = 0;
		int r = lab_netlink_talk(nl, request, read_flags, &flags);
		if (r < 0)
			return lp_fail(err, -r, "link %s: %s", link, strerror(-r));
		if (flags & IFF_RUNNING)
			return 0;
		int64_t left = (deadline - lp_clock_ns()) / 1000000;
		struct pollfd wait = {.fd = mnl_socket_get_fd(events), .events = POLLIN};
		if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
			return lp_fail(err, ETIMEDOUT, "link %s has no carrier", link);
		(void)mnl_socket_recvfrom(events, buf, sizeof(buf));
	}
}

int lab_veth(const struct lab_ns *a, const char *name_a, const struct lab_ns *b, const char *name_b,
             struct lp_error *err)
{
	_cleanup_(lab_ns_done) struct lab_ns here = LAB_NS_NONE;
	if (!b) {
		int r = lab_ns_self(&here, err);
		if (r < 0)
			return r;
		b = &here;
	}
	_Alignas(8) char buf[BUFFER];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = RTM_NEWLINK;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(request, IFLA_IFNAME, name_a);
	struct nlattr *kind = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, name_b);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)b->fd);
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, kind);

	int r = request_in(a, request, "veth", name_a, err);
	if (r == 0)
		r = lab_link_up(b, name_b, err);
	if (r == 0)
		r = wait_running(a, name_a, err);
	if (r == 0)
		r = wait_running(b, name_b, err);
	return r;
}

/* The next address, as a big-endian number. */
static void address_next(struct lp_address *a)
{
	for (size_t i = address_size(a); i-- > 0;)
		if (++a->bytes[i])
			return;
}

static struct nlmsghdr *address_request(char *buf, const struct network *network, unsigned index)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = RTM_NEWADDR;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifa_family = (uint8_t)network->address.family;
	info->ifa_prefixlen = (uint8_t)network->prefix;
	info->ifa_flags = network->address.family == AF_INET6 ? IFA_F_NODAD : 0;
	info->ifa_index = index;
	size_t size = address_size(&network->address);
	mnl_attr_put(request, IFA_LOCAL, size, network->address.bytes);
	mnl_attr_put(request, IFA_ADDRESS, size, network->address.bytes);
	return request;
}

/* Whether a message tells of the local route of an address. */
struct awaited {
	const struct lp_address *address;
	bool seen;
};

static int read_route_attr(const struct nlattr *attr, void *data)
{
	struct awaited *awaited = data;
	if (mnl_attr_get_type(attr) == RTA_DST && mnl_attr_get_payload_len(attr) == 16 &&
	    !memcmp(mnl_attr_get_payload(attr), awaited->address->bytes, 16))
		awaited->seen = true;
	return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *event, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(event);
	if (event->nlmsg_type != RTM_NEWROUTE || info->rtm_type != RTN_LOCAL)
		return MNL_CB_OK;
	return mnl_attr_parse(event, sizeof(*info), read_route_attr, data);
}

/*
 * The kernel puts the route of a new IPv6 address in place from a work queue, also without
 * duplicate address detection: until then nothing reaches the address.
 */
static int wait_local_route(struct mnl_socket *events, const struct lp_address *address)
{
	struct awaited awaited = {.address = address};
	int64_t deadline = lp_clock_ns() + UP_TIMEOUT_MS * INT64_C(1000000);
	while (!awaited.seen) {
		_Alignas(8) char buf[BUFFER];
		int64_t left = (deadline - lp_clock_ns()) / 1000000;
		struct pollfd wait = {.fd = mnl_socket_get_fd(events), .events = POLLIN};
		if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
			return -ETIMEDOUT;
		ssize_t n = mnl_socket_recvfrom(events, buf, sizeof(buf));
		if (n < 0)
			return lp_errno();
		(void)mnl_cb_run(buf, (size_t)n, 0, 0, read_route, &awaited);
	}
	return 0;
}

/* A link that is down or has no carrier lets nothing in whatever its addresses are. */
static bool is_running(struct mnl_socket *nl, const char *link)
{
	_Alignas(8) char buf[BUFFER];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = RTM_GETLINK;
	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, link);
	unsigned flags = 0;
	return lab_netlink_talk(nl, request, read_flags, &flags) == 0 && (flags & IFF_RUNNING);
}

/* events NULL: does not wait until it can be used. */
static int add_address(struct mnl_socket *nl, struct mnl_socket *events, const char *link,
                       const struct network *network, unsigned index)
{
	_Alignas(8) char buf[BUFFER];
	int r = lab_netlink_talk(nl, address_request(buf, network, index), NULL, NULL);
	if (r == 0 && events)
		r = wait_local_route(events, &network->address);
	/*
	 * fib6_add_rt2node() tells of a route before it marks the node as one that has any. It goes
	 * on with the lock that a question about a link takes.
	 */
	if (r == 0 && events)
		(void)is_running(nl, link);
	return r;
}

int lab_addresses(const struct lab_ns *ns, const char *link, const char *text, unsigned n,
                  struct lp_error *err)
{
	struct network network;
	int r = network_parse(text, &network, err);
	if (r < 0)
		return r;
	if (n > 65536)
		return lp_fail(err, EINVAL, "%u addresses are too many", n);
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	unsigned index = if_nametoindex(link);
	if (!index)
		return lp_fail(err, errno, "link %s: %s", link, strerror(errno));
	bool six = network.address.family == AF_INET6;
	_cleanup_(lab_netlink_close) struct mnl_socket *nl = lab_netlink_open(NETLINK_ROUTE, 0);
	_cleanup_(lab_netlink_close) struct mnl_socket *events =
	        lab_netlink_open(NETLINK_ROUTE, six ? RTMGRP_IPV6_ROUTE : 0);
	if (!nl || !events)
		return lp_fail(err, errno, "netlink: %s", strerror(errno));
	bool wait = six && is_running(nl, link);
	for (unsigned i = 0; i < n; i++) {
		r = add_address(nl, wait ? events : NULL, link, &network, index);
		if (r < 0)
			return lp_fail(err, -r, "address %s (number %u) on %s: %s", text, i, link,
			               strerror(-r));
		address_next(&network.address);
	}
	return 0;
}

int lab_address(const struct lab_ns *ns, const char *link, const char *network,
                struct lp_error *err)
{
	return lab_addresses(ns, link, network, 1, err);
}

static struct nlmsghdr *route_request(char *buf, const struct network *to, uint8_t type)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = RTM_NEWROUTE;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	struct rtmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->rtm_family = (uint8_t)to->address.family;
	info->rtm_dst_len = (uint8_t)to->prefix;
	info->rtm_table = type == RTN_LOCAL ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
	info->rtm_type = type;
	mnl_attr_put(request, RTA_DST, address_size(&to->address), to->address.bytes);
	return request;
}

/* Puts the index of a link of the namespace. */
static int put_link(struct nlmsghdr *request, const struct lab_ns *ns, const char *link,
                    struct lp_error *err)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	unsigned index = if_nametoindex(link);
	if (!index)
		return lp_fail(err, errno, "link %s: %s", link, strerror(errno));
	mnl_attr_put_u32(request, RTA_OIF, index);
	return 0;
}

int lab_route(const struct lab_ns *ns, const char *text, const char *gateway, const char *link,
              struct lp_error *err)
{
	struct network to, via;
	int r = network_parse(text, &to, err);
	if (r < 0)
		return r;
	_Alignas(8) char buf[BUFFER];
	struct nlmsghdr *request = route_request(buf, &to, RTN_UNICAST);
	if (gateway) {
		r = network_parse(gateway, &via, err);
		if (r < 0)
			return r;
		struct rtmsg *info = mnl_nlmsg_get_payload(request);
		info->rtm_scope = RT_SCOPE_UNIVERSE;
		mnl_attr_put(request, RTA_GATEWAY, address_size(&via.address), via.address.bytes);
	}
	if (link) {
		r = put_link(request, ns, link, err);
		if (r < 0)
			return r;
	}
	return request_in(ns, request, "route", text, err);
}

int lab_route_local(const struct lab_ns *ns, const char *text, struct lp_error *err)
{
	struct network to;
	int r = network_parse(text, &to, err);
	if (r < 0)
		return r;
	_Alignas(8) char buf[BUFFER];
	struct nlmsghdr *request = route_request(buf, &to, RTN_LOCAL);
	/* A local route is enough for bind() in IPv4 only. */
	if (to.address.family == AF_INET6) {
		r = lab_sysctl(ns, err, "ipv6/ip_nonlocal_bind", "1");
		if (r < 0)
			return r;
	}
	r = put_link(request, ns, "lo", err);
	if (r < 0)
		return r;
	return request_in(ns, request, "local route", text, err);
}
