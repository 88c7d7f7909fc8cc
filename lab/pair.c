/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lab/socket.h"

enum { TOGETHER_AT_ONCE = 64 };

int lab_pair_open(const struct lab_how *how, const struct lab_addr *to, int listener,
                  struct lab_pair *ret)
{
	int timeout = how->timeout_ms ? how->timeout_ms : LAB_TIMEOUT_MS;
	_cleanup_(lp_close_fd) int client = lab_connect(how, to);
	if (client < 0)
		return client;
	int server = lab_accept(listener, timeout);
	if (server < 0)
		return server;
	*ret = (struct lab_pair){.client = lp_take_fd(client), .server = server};
	return 0;
}

static void close_fd(int *fd)
{
	lp_close_fd(fd);
	*fd = -1;
}

/*
 * The second one's socket goes from LAST_ACK to CLOSE when its FIN is acknowledged: by then the
 * first one, which sent that ACK, is in TIME_WAIT.
 */
static int close_in_order(int *first, int *second)
{
	close_fd(first);
	int r = lab_wait_eof(*second, LAB_TIMEOUT_MS);
	if (r == 0 && shutdown(*second, SHUT_WR) < 0)
		r = lp_errno();
	if (r == 0)
		r = lab_wait_tcp_state(*second, TCP_CLOSE, LAB_TIMEOUT_MS);
	close_fd(second);
	return r;
}

static int close_reset(struct lab_pair *pair)
{
	struct linger linger = {.l_onoff = 1};
	int r = 0;
	if (setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		r = lp_errno();
	close_fd(&pair->client);
	if (r == 0) {
		r = lab_wait_eof(pair->server, LAB_TIMEOUT_MS);
		r = r == -ECONNRESET ? 0 : r == 0 ? -EPROTO : r;
	}
	close_fd(&pair->server);
	return r;
}

static int set_deaf(int fd, bool deaf)
{
	struct sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog program = {.len = 1, .filter = drop};
	int r = deaf ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))
	             : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int));
	return r < 0 ? lp_errno() : 0;
}

/* The server hears nothing while both send their FIN. The client's FIN comes again 0.2 s later. */
static int begin_together(const struct lab_pair *pair)
{
	int r = set_deaf(pair->server, true);
	if (r == 0 && shutdown(pair->client, SHUT_WR) < 0)
		r = lp_errno();
	if (r == 0 && shutdown(pair->server, SHUT_WR) < 0)
		r = lp_errno();
	if (r == 0)
		r = lab_wait_tcp_state(pair->client, TCP_CLOSING, LAB_TIMEOUT_MS);
	if (r == 0)
		r = set_deaf(pair->server, false);
	return r;
}

static int finish_together(struct lab_pair *pair)
{
	int r = lab_wait_tcp_state(pair->server, TCP_CLOSE, LAB_TIMEOUT_MS);
	if (r == 0)
		r = lab_wait_tcp_state(pair->client, TCP_CLOSE, LAB_TIMEOUT_MS);
	close_fd(&pair->client);
	close_fd(&pair->server);
	return r;
}

static int close_together(struct lab_pair *pairs, size_t n)
{
	int result = 0;
	for (size_t i = 0; i < n; i++) {
		int r = begin_together(&pairs[i]);
		if (r < 0)
			result = r;
	}
	for (size_t i = 0; i < n; i++) {
		int r = finish_together(&pairs[i]);
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

static int close_one(struct lab_pair *pair, enum lab_end end)
{
	switch (end) {
	case LAB_CLIENT_FIRST:
		return close_in_order(&pair->client, &pair->server);
	case LAB_SERVER_FIRST:
		return close_in_order(&pair->server, &pair->client);
	case LAB_TOGETHER:
		return close_together(pair, 1);
	case LAB_RESET:
		return close_reset(pair);
	}
	return -EINVAL;
}

int lab_pair_close(struct lab_pair *pair, enum lab_end end)
{
	return close_one(pair, end);
}

int lab_pairs_close(struct lab_pair *pairs, size_t n, enum lab_end end)
{
	if (end == LAB_TOGETHER)
		return close_together(pairs, n);
	int result = 0;
	for (size_t i = 0; i < n; i++) {
		int r = close_one(&pairs[i], end);
		if (r < 0)
			result = r;
	}
	return result;
}

int lab_pair_half_close(const struct lab_pair *pair)
{
	if (shutdown(pair->client, SHUT_WR) < 0)
		return lp_errno();
	int r = lab_wait_eof(pair->server, LAB_TIMEOUT_MS);
	/* The server's ACK of the FIN need not wait for data to go with it. */
	if (r == 0 &&
	    setsockopt(pair->server, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int)) < 0)
		r = lp_errno();
	if (r == 0)
		r = lab_wait_tcp_state(pair->client, TCP_FIN_WAIT2, LAB_TIMEOUT_MS);
	return r;
}

struct lab_count lab_open_and_end(const struct lab_how *how, const struct lab_addr *to,
                                  int listener, enum lab_end end, unsigned n)
{
	struct lab_count count = {0};
	struct lab_pair pairs[TOGETHER_AT_ONCE];
	unsigned at_once = end == LAB_TOGETHER ? TOGETHER_AT_ONCE : 1;
	_cleanup_(lab_leave) int home = lab_enter(how->ns);
	if (home < 0)
		return (struct lab_count){.error = -home};
	struct lab_how inside = *how;
	inside.ns = NULL;
	while (count.n < n && !count.error) {
		unsigned opened = 0;
		while (opened < at_once && count.n + opened < n && !count.error) {
			int r = lab_pair_open(&inside, to, listener, &pairs[opened]);
			if (r < 0)
				count.error = -r;
			else
				opened++;
		}
		int r = lab_pairs_close(pairs, opened, end);
		if (r < 0 && !count.error)
			count.error = -r;
		count.n += r < 0 ? 0 : opened;
	}
	return count;
}
