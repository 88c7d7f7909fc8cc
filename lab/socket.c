/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/array.h"

#ifndef IP_LOCAL_PORT_RANGE /* Linux 6.3 */
#define IP_LOCAL_PORT_RANGE 51
#endif

struct lab_addr lab_addr(const char *text, uint16_t port)
{
	struct lab_addr a = {0};
	if (inet_pton(AF_INET, text, &a.four.sin_addr) == 1) {
		a.length = sizeof(a.four);
		a.four.sin_family = AF_INET;
		a.four.sin_port = htons(port);
		return a;
	}
	a = (struct lab_addr){0};
	char plain[INET6_ADDRSTRLEN] = "";
	size_t length = strcspn(text, "%");
	if (length >= sizeof(plain))
		return a;
	memcpy(plain, text, length);
	if (inet_pton(AF_INET6, plain, &a.six.sin6_addr) != 1)
		return a;
	a.length = sizeof(a.six);
	a.six.sin6_family = AF_INET6;
	a.six.sin6_port = htons(port);
	if (text[length])
		a.six.sin6_scope_id = (uint32_t)strtoul(text + length + 1, NULL, 10);
	return a;
}

int lab_addr_family(const struct lab_addr *addr)
{
	return addr->any.sa_family;
}

uint16_t lab_addr_port(const struct lab_addr *addr)
{
	return ntohs(lab_addr_family(addr) == AF_INET ? addr->four.sin_port : addr->six.sin6_port);
}

void lab_addr_set_port(struct lab_addr *addr, uint16_t port)
{
	if (lab_addr_family(addr) == AF_INET)
		addr->four.sin_port = htons(port);
	else
		addr->six.sin6_port = htons(port);
}

struct lab_addr lab_addr_local(int fd)
{
	struct lab_addr a = {.length = sizeof(a.six)};
	if (getsockname(fd, &a.any, &a.length) < 0)
		a.length = 0;
	return a;
}

struct lab_addr lab_addr_remote(int fd)
{
	struct lab_addr a = {.length = sizeof(a.six)};
	if (getpeername(fd, &a.any, &a.length) < 0)
		a.length = 0;
	return a;
}

const char *lab_addr_text(const struct lab_addr *addr, char *buf, size_t size)
{
	int family = lab_addr_family(addr);
	const void *bytes = family == AF_INET ? (const void *)&addr->four.sin_addr
	                                      : (const void *)&addr->six.sin6_addr;
	if (!inet_ntop(family, bytes, buf, (socklen_t)size))
		(void)snprintf(buf, size, "?");
	return buf;
}

static int timeout_of(const struct lab_how *how)
{
	return how->timeout_ms ? how->timeout_ms : LAB_TIMEOUT_MS;
}

static int set_flag(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? lp_errno() : 0;
}

static int set_options(int fd, int family, const struct lab_how *how)
{
	unsigned options = how->options;
	int r = 0;
	if (options & LAB_REUSEADDR)
		r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && options & LAB_REUSEPORT)
		r = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* The kernel keeps one flag for both families under IPPROTO_IP. */
	if (r == 0 && options & LAB_BIND_NO_PORT)
		r = set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (r == 0 && family == AF_INET6)
		r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !!(options & LAB_V6ONLY));
	if (r == 0 && how->ports)
		r = set_flag(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)how->ports);
	struct linger linger = {.l_onoff = 1};
	if (r == 0 && options & LAB_LINGER_ZERO &&
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		r = lp_errno();
	int ms = timeout_of(how);
	struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	/* SO_SNDTIMEO bounds a blocking connect() too. */
	if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		r = lp_errno();
	return r;
}

/* With its options set, and bound where how says so. */
static int open_socket(const struct lab_how *how, int family)
{
	_cleanup_(lab_leave) int home = lab_enter(how->ns);
	if (home < 0)
		return home;
	int type = SOCK_STREAM | SOCK_CLOEXEC;
	if (how->options & LAB_NONBLOCK)
		type |= SOCK_NONBLOCK;
	_cleanup_(lp_close_fd) int fd = socket(family, type, 0);
	if (fd < 0)
		return lp_errno();
	int r = set_options(fd, family, how);
	if (r < 0)
		return r;
	if (how->from && bind(fd, &how->from->any, how->from->length) < 0)
		return lp_errno();
	return lp_take_fd(fd);
}

int lab_bound(const struct lab_how *how)
{
	return open_socket(how, lab_addr_family(how->from));
}

int lab_listen(const struct lab_how *how, int backlog)
{
	_cleanup_(lp_close_fd) int fd = open_socket(how, lab_addr_family(how->from));
	if (fd < 0)
		return fd;
	if (listen(fd, backlog) < 0)
		return lp_errno();
	return lp_take_fd(fd);
}

int lab_connect(const struct lab_how *how, const struct lab_addr *to)
{
	_cleanup_(lp_close_fd) int fd = open_socket(how, lab_addr_family(to));
	if (fd < 0)
		return fd;
	if (connect(fd, &to->any, to->length) < 0) {
		if (errno != EINPROGRESS)
			return lp_errno();
		if (!(how->options & LAB_NONBLOCK))
			return -ETIMEDOUT; /* SO_SNDTIMEO ran out */
	}
	return lp_take_fd(fd);
}

int lab_accept(int listener, int timeout_ms)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};
	int ready = poll(&wait, 1, timeout_ms);
	if (ready < 0)
		return lp_errno();
	if (ready == 0)
		return timeout_ms ? -ETIMEDOUT : -EAGAIN;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? lp_errno() : fd;
}

unsigned lab_drain(int listener)
{
	for (unsigned n = 0;; n++) {
		_cleanup_(lp_close_fd) int fd = lab_accept(listener, 0);
		if (fd < 0)
			return n;
	}
}

int lab_hold(struct lab_fds *fds, int fd)
{
	if (!lp_array_grow(&fds->items, &fds->room, fds->n, sizeof(*fds->items))) {
		(void)close(fd);
		return -ENOMEM;
	}
	fds->items[fds->n++] = fd;
	return 0;
}

void lab_fds_done(struct lab_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		(void)close(fds->items[i]);
	free(fds->items);
	*fds = (struct lab_fds){0};
}

/* Enters the namespace once for all of them. to NULL: bound only. */
static struct lab_count open_many(const struct lab_how *how, const struct lab_addr *to,
                                  unsigned most, struct lab_fds *hold)
{
	struct lab_count count = {0};
	_cleanup_(lab_leave) int home = lab_enter(how->ns);
	if (home < 0)
		return (struct lab_count){.error = -home};
	struct lab_how inside = *how;
	inside.ns = NULL;
	while (count.n < most) {
		int fd = to ? lab_connect(&inside, to) : lab_bound(&inside);
		int r = fd < 0 ? fd : lab_hold(hold, fd);
		if (r < 0) {
			count.error = -r;
			break;
		}
		count.n++;
	}
	return count;
}

struct lab_count lab_connect_many(const struct lab_how *how, const struct lab_addr *to, unsigned n,
                                  struct lab_fds *hold)
{
	return open_many(how, to, n, hold);
}

struct lab_count lab_bind_many(const struct lab_how *how, unsigned n, struct lab_fds *hold)
{
	return open_many(how, NULL, n, hold);
}

uint64_t lab_raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}
