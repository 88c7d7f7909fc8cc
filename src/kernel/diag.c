/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/diag.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>

#include "snapshot/snapshot.h"

int lp_diag_open(void)
{
	return lp_netlink_open(NETLINK_SOCK_DIAG);
}

static struct nlmsghdr *put_request(char *buffer, uint32_t states, uint32_t sequence)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	header->nlmsg_type = TCPDIAG_GETSOCK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = sequence;
	struct inet_diag_req *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->idiag_family = AF_INET;
	request->idiag_states = states;
	return header;
}

static int find_v6only(const struct nlattr *attribute, void *context)
{
	int *v6only = context;
	if (mnl_attr_get_type(attribute) != INET_DIAG_SKV6ONLY ||
	    mnl_attr_get_payload_len(attribute) < 1)
		return MNL_CB_OK;
	*v6only = mnl_attr_get_u8(attribute) != 0;
	return MNL_CB_STOP;
}

static int v6only_of(const struct nlmsghdr *header)
{
	int v6only = -1;
	(void)mnl_attr_parse(header, sizeof(struct inet_diag_msg), find_v6only, &v6only);
	return v6only;
}

static bool has_v6only(const struct inet_diag_msg *m)
{
	return m->idiag_family == AF_INET6 &&
	       (m->idiag_state == LP_LISTEN || m->idiag_state == LP_CLOSE);
}

/* Whose sockets they are given to. */
struct taker {
	lp_diag_function function;
	void *context;
};

static int take_socket(const struct nlmsghdr *header, void *context,
                       struct lp_netlink_result *result)
{
	const struct taker *taker = context;
	if (header->nlmsg_type != TCPDIAG_GETSOCK && header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
		result->truncated = true;
		return 0;
	}
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(header);
	if (m->idiag_family != AF_INET && m->idiag_family != AF_INET6)
		return 0;
	struct lp_diag_message message = {
	        .family = m->idiag_family,
	        .state = m->idiag_state,
	        .timer = m->idiag_timer,
	        .local_port = ntohs(m->id.idiag_sport),
	        .remote_port = ntohs(m->id.idiag_dport),
	        .local = (const uint8_t *)m->id.idiag_src,
	        .remote = (const uint8_t *)m->id.idiag_dst,
	        .ifindex = m->id.idiag_if,
	        .expires_ms = m->idiag_expires,
	        .rqueue = m->idiag_rqueue,
	        .wqueue = m->idiag_wqueue,
	        .uid = m->idiag_uid,
	        .inode = m->idiag_inode,
	        .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
	        .v6only = has_v6only(m) ? v6only_of(header) : -1,
	};
	return taker->function(&message, taker->context);
}

int lp_diag_parse(const void *datagram, size_t size, uint32_t sequence, lp_diag_function function,
                  void *context, struct lp_netlink_result *result)
{
	struct taker taker = {function, context};
	return lp_netlink_parse(datagram, size, sequence, take_socket, &taker, result);
}

int lp_diag_dump(int fd, uint32_t states, uint32_t sequence, lp_diag_function function,
                 void *context, struct lp_netlink_result *result)
{
	_Alignas(8) char buffer[NLMSG_SPACE(sizeof(struct inet_diag_req))] = {0};
	struct taker taker = {function, context};
	return lp_netlink_ask(fd, put_request(buffer, states, sequence), take_socket, &taker,
	                      result);
}
