/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

enum {
	/* A larger buffer gains nothing: the kernel fills 32 KiB at most (af_netlink.c). */
	BUFFER = 32768,
	ANSWER_TIMEOUT_S = 5,
};

int lp_netlink_open(int protocol)
{
	_cleanup_(lp_close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return lp_errno();
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = ANSWER_TIMEOUT_S};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return lp_errno();
	return lp_take_fd(fd);
}

/* 1 for an acknowledgement. */
static int error_of(const struct nlmsghdr *header)
{
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return -EBADMSG;
	int error;
	memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
	if (error == 0)
		return 1;
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

int lp_netlink_parse(const void *datagram, size_t size, uint32_t sequence,
                     lp_netlink_function function, void *context, struct lp_netlink_result *result)
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
		else
			r = function(header, context, result);
		if (r != 0)
			return r;
	}
	if (left > 0)
		result->truncated = true;
	return 0;
}

/* One datagram into the buffer. Its length; a negative errno; sets `lost` and `truncated`. */
static ssize_t receive(int fd, void *buffer, struct lp_netlink_result *result)
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

static int send_request(int fd, const struct nlmsghdr *request)
{
	ssize_t sent;
	do
		sent = send(fd, request, request->nlmsg_len, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? lp_errno() : 0;
}

int lp_netlink_ask(int fd, const struct nlmsghdr *request, lp_netlink_function function,
                   void *context, struct lp_netlink_result *result)
{
	*result = (struct lp_netlink_result){0};
	_cleanup_(lp_free_ptr) char *buffer = malloc(BUFFER);
	if (!buffer)
		return -ENOMEM;
	int r = send_request(fd, request);
	while (r == 0) {
		ssize_t length = receive(fd, buffer, result);
		if (length < 0)
			return (int)length;
		r = lp_netlink_parse(buffer, (size_t)length, request->nlmsg_seq, function, context,
		                     result);
	}
	return r == 1 ? 0 : r;
}
