/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/netlink.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/error.h"

struct mnl_socket *lab_netlink_open(int bus, unsigned groups)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (nl && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
		(void)mnl_socket_close(nl);
		return NULL;
	}
	return nl;
}

int lab_netlink_talk(struct mnl_socket *nl, struct nlmsghdr *request, mnl_cb_t cb, void *data)
{
	_Alignas(8) char buf[LAB_NETLINK_BUFFER];
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq++;
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return lp_errno();
	int r = MNL_CB_OK;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return lp_errno();
		r = mnl_cb_run(buf, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(nl), cb,
		               data);
	}
	return r < 0 ? lp_errno() : 0;
}
