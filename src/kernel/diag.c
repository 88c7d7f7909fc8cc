/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "snapshot/snapshot.h"

enum {
	/* A larger buffer gains nothing: the kernel fills 32 KiB at most (af_netlink.c). */
	BUFFER = 32768,
	ANSWER_TIMEOUT_S = 5,
};

int lp_diag_open(void)
{
	_cleanup_(lp_close_fd) int fd =
	        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return lp_errno();
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = ANSWER_TIMEOUT_S};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return lp_errno();
	return lp_take_fd(fd);
}

static int send_request(int fd, uint32_t states, uint32_t sequence)
{
	char buffer[NLMSG_SPACE(sizeof(struct inet_diag_req))] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	header->nlmsg_type = TCPDIAG_GETSOCK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = sequence;
	struct inet_diag_req *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->idiag_family = AF_INET;
	request->idiag_states = states;
	ssize_t sent;
	do
		sent = send(fd, header, header->nlmsg_len, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? lp_errno() : 0;
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

static int take_socket(const struct nlmsghdr *header, lp_diag_function function, void *context,
                       struct lp_diag_result *result)
{
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
	        .v6only = has_v6only(m) ? v6only_of(header) : -1,
	};
	return function(&message, context);
}

static int error_of(const struct nlmsghdr *header)
{
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return -EBADMSG;
	int error;
	memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
	return error < 0 ? error : -EBADMSG;
}

/* NLMSG_DONE carries the dump's own error since 5.x; older ones carry nothing. */
static int done_of(const struct nlmsghdr *header)
{
	int error = 0;
	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
		memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
	return error < 0 ? error : 1;
}

/* mnl_nlmsg_ok() of libmnl 1.0.4 takes a length above 2 GiB for a small one. */
static bool message_fits(const struct nlmsghdr *header, int left)
{
	return mnl_nlmsg_ok(header, left) && header->nlmsg_len <= (uint32_t)left;
}

int lp_diag_parse(const void *datagram, size_t size, uint32_t sequence, lp_diag_function function,
                  void *context, struct lp_diag_result *result)
{
	const struct nlmsghdr *header = datagram;
	int left = (int)size;
	for (; message_fits(header, left); header = mnl_nlmsg_next(header, &left)) {
		int r = 0;
		if (header->nlmsg_seq != sequence)
			continue; /* the rest of a dump that was given up */
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			result->interrupted = true;
		if (header->nlmsg_type == NLMSG_ERROR)
			r = error_of(header);
		else if (header->nlmsg_type == NLMSG_DONE)
			r = done_of(header);
		else if (header->nlmsg_type == TCPDIAG_GETSOCK ||
		         header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			r = take_socket(header, function, context, result);
		if (r != 0)
			return r;
	}
	if (left > 0)
		result->truncated = true;
	return 0;
}

/* One datagram into the buffer. Its length; a negative errno; sets `lost` and `truncated`. */
static ssize_t receive(int fd, void *buffer, struct lp_diag_result *result)
{
	for (;;) {
		struct iovec iov = {.iov_base = buffer, .iov_len = BUFFER};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t length = recvmsg(fd, &message, 0);
		if (length > 0) {
			if (message.msg_flags & MSG_TRUNC)
				result->truncated = true;
			return length;
		}
		if (length == 0)
			return -EBADMSG;
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno == ENOBUFS)
			result->lost = true;
		else if (errno != EINTR)
			return lp_errno();
		if (result->lost)
			return -ENOBUFS;
	}
}

int lp_diag_dump(int fd, uint32_t states, uint32_t sequence, lp_diag_function function,
                 void *context, struct lp_diag_result *result)
{
	*result = (struct lp_diag_result){0};
	_cleanup_(lp_free_ptr) char *buffer = malloc(BUFFER);
	if (!buffer)
		return -ENOMEM;
	int r = send_request(fd, states, sequence);
	while (r == 0) {
		ssize_t length = receive(fd, buffer, result);
		if (length < 0)
			return (int)length;
		r = lp_diag_parse(buffer, (size_t)length, sequence, function, context, result);
	}
	return r == 1 ? 0 : r;
}
