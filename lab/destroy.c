/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/destroy.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/array.h"

enum {
	AT_ONCE = 100, /* requests in one message: that many refusals fit a plain receive buffer */
	ANSWER_ROOM = 32768,
};

struct found {
	const struct lab_doomed *doomed;
	struct inet_diag_sockid *ids;
	size_t n, room;
};

static bool is_doomed(const struct lab_doomed *doomed, const struct inet_diag_sockid *id)
{
	const struct lab_addr *to = doomed->to;
	return !to || (id->idiag_dport == htons(lab_addr_port(to)) &&
	               !memcmp(id->idiag_dst, &to->four.sin_addr, 4));
}

static int take_one(const struct nlmsghdr *answer, void *data)
{
	struct found *found = data;
	if (mnl_nlmsg_get_payload_len(answer) < sizeof(struct inet_diag_msg))
		return MNL_CB_OK;
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(answer);
	if (!is_doomed(found->doomed, &msg->id))
		return MNL_CB_OK;
	if (!lp_array_grow(&found->ids, &found->room, found->n, sizeof(*found->ids))) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	found->ids[found->n++] = msg->id;
	return MNL_CB_OK;
}

static struct inet_diag_req_v2 *put_request(void *at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(at);
	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(request, sizeof(*req));
	req->sdiag_family = AF_INET;
	req->sdiag_protocol = IPPROTO_TCP;
	return req;
}

static int find(struct mnl_socket *nl, struct found *found)
{
	_Alignas(8) char buf[ANSWER_ROOM];
	struct inet_diag_req_v2 *req =
	        put_request(buf, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP);
	req->idiag_states = found->doomed->states;
	const struct nlmsghdr *request = (const struct nlmsghdr *)buf;
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	int r = MNL_CB_OK;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(nl), take_one, found);
	}
	return r < 0 ? -errno : 0;
}

/* Only what is refused is answered, and it is by the time that the request was sent. */
static int count_refusals(struct mnl_socket *nl, struct lab_destroyed *ret)
{
	_Alignas(8) char buf[ANSWER_ROOM];
	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		int left = (int)n;
		const struct nlmsghdr *answer = (const struct nlmsghdr *)buf;
		for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
			const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
			if (answer->nlmsg_type != NLMSG_ERROR || !error->error)
				continue;
			ret->refused++;
			ret->error = -error->error;
		}
	}
}

static int destroy_some(struct mnl_socket *nl, const struct inet_diag_sockid *ids, size_t n,
                        bool mistaken, struct lab_destroyed *ret)
{
	_Alignas(8) char buf[AT_ONCE * NLMSG_SPACE(sizeof(struct inet_diag_req_v2))];
	char *at = buf;
	for (size_t i = 0; i < n; i++) {
		struct inet_diag_req_v2 *req = put_request(at, SOCK_DESTROY, NLM_F_REQUEST);
		req->id = ids[i];
		req->id.idiag_cookie[0] ^= mistaken;
		at += NLMSG_SPACE(sizeof(*req));
	}
	if (mnl_socket_sendto(nl, buf, (size_t)(at - buf)) < 0)
		return -errno;
	ret->asked += (unsigned)n;
	return count_refusals(nl, ret);
}

static int find_and_destroy(struct mnl_socket *nl, const struct lab_doomed *doomed,
                            struct lab_destroyed *ret)
{
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	struct found found = {.doomed = doomed};
	int r = find(nl, &found);
	for (size_t i = 0; r == 0 && i < found.n; i += AT_ONCE) {
		size_t n = found.n - i < AT_ONCE ? found.n - i : AT_ONCE;
		r = destroy_some(nl, found.ids + i, n, doomed->mistaken, ret);
	}
	free(found.ids);
	return r;
}

int lab_destroy(const struct lab_doomed *doomed, struct lab_destroyed *ret)
{
	_cleanup_(lab_leave) int home = lab_enter(doomed->ns);
	if (home < 0)
		return home;
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	struct lab_destroyed destroyed = {0};
	int r = find_and_destroy(nl, doomed, &destroyed);
	(void)mnl_socket_close(nl);
	if (r == 0)
		*ret = destroyed;
	return r;
}
