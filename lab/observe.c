/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "lab/socket.h"

int lab_tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return lp_errno();
	return info.tcpi_state;
}

/*
 * No event tells LAST_ACK from CLOSE (both are POLLHUP), so the state is asked for: at once, which
 * on one machine is enough nearly always, then after 50 µs and ever longer, up to 3 ms.
 */
int lab_wait_tcp_state(int fd, int state, int timeout_ms)
{
	int64_t deadline = lp_clock_ns() + timeout_ms * INT64_C(1000000);
	struct timespec pause = {.tv_nsec = 50000};
	for (;;) {
		int now = lab_tcp_state(fd);
		if (now < 0)
			return now;
		if (now == state)
			return 0;
		if (lp_clock_ns() > deadline)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec += pause.tv_nsec / 2;
	}
}

int lab_wait_eof(int fd, int timeout_ms)
{
	int64_t deadline = lp_clock_ns() + timeout_ms * INT64_C(1000000);
	for (;;) {
		char away[4096];
		ssize_t n = recv(fd, away, sizeof(away), MSG_DONTWAIT);
		if (n == 0)
			return 0;
		if (n > 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return lp_errno();
		int64_t left = (deadline - lp_clock_ns()) / 1000000;
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return -ETIMEDOUT;
	}
}

static void put_address(const struct lab_addr *addr, __be32 *words)
{
	if (lab_addr_family(addr) == AF_INET)
		memcpy(words, &addr->four.sin_addr, 4);
	else
		memcpy(words, &addr->six.sin6_addr, 16);
}

static int read_state(const struct nlmsghdr *answer, void *data)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(answer);
	/* Where no connection is found, the kernel answers with a listener of that port. */
	*(int *)data = msg->idiag_state == TCP_LISTEN ? -ENOENT : msg->idiag_state;
	return MNL_CB_OK;
}

static int ask_state(struct mnl_socket *nl, const struct lab_addr *local,
                     const struct lab_addr *remote)
{
	_Alignas(8) char buf[8192];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(request, sizeof(*req));
	req->sdiag_family = (uint8_t)lab_addr_family(local);
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = UINT32_MAX;
	req->id.idiag_sport = htons(lab_addr_port(local));
	req->id.idiag_dport = htons(lab_addr_port(remote));
	put_address(local, req->id.idiag_src);
	put_address(remote, req->id.idiag_dst);
	req->id.idiag_cookie[0] = req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return lp_errno();
	int state = -ENOENT, r = MNL_CB_OK;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return lp_errno();
		r = mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(nl), read_state, &state);
	}
	return r < 0 ? lp_errno() : state;
}

int lab_tuple_state(const struct lab_ns *ns, const struct lab_addr *local,
                    const struct lab_addr *remote)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return home;
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!nl)
		return lp_errno();
	int r = -EIO;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
		r = ask_state(nl, local, remote);
	(void)mnl_socket_close(nl);
	return r;
}

static FILE *open_net(const struct lab_ns *ns, const char *path)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0) {
		errno = -home;
		return NULL;
	}
	return fopen(path, "re"); /* the namespace is fixed by opening it */
}

int lab_time_wait_count(const struct lab_ns *ns)
{
	_cleanup_(lp_close_file) FILE *file = open_net(ns, "/proc/thread-self/net/sockstat");
	if (!file)
		return lp_errno();
	char line[256];
	int n;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "TCP: inuse %*d orphan %*d tw %d", &n) == 1)
			return n;
	return -ENODATA;
}

/* Two lines belong together: the names, then the figures. */
static int64_t counter_in(FILE *file, const char *group, const char *name)
{
	_cleanup_(lp_free_ptr) char *names = NULL;
	_cleanup_(lp_free_ptr) char *figures = NULL;
	size_t names_room = 0, figures_room = 0, length = strlen(group);
	while (getline(&names, &names_room, file) > 0 &&
	       getline(&figures, &figures_room, file) > 0) {
		if (strncmp(names, group, length) != 0 || names[length] != ':')
			continue;
		char *in_names, *in_figures;
		char *word = strtok_r(names, " \n", &in_names);
		char *figure = strtok_r(figures, " \n", &in_figures);
		for (; word && figure; word = strtok_r(NULL, " \n", &in_names),
		                       figure = strtok_r(NULL, " \n", &in_figures))
			if (!strcmp(word, name))
				return strtoll(figure, NULL, 10);
	}
	return -ENOENT;
}

int64_t lab_counter(const struct lab_ns *ns, const char *group, const char *name)
{
	static const char *const files[] = {"/proc/thread-self/net/netstat",
	                                    "/proc/thread-self/net/snmp"};
	int64_t n = -ENOENT;
	for (size_t i = 0; i < 2 && n == -ENOENT; i++) {
		_cleanup_(lp_close_file) FILE *file = open_net(ns, files[i]);
		if (!file)
			return lp_errno();
		n = counter_in(file, group, name);
	}
	return n;
}
