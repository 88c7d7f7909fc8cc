/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crowd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { HOLD = 15000 }; /* descriptors of a process */

/* ---- connections that nobody answers ------------------------------------------------------- */

int crowd_open_alone(int family, uint32_t address, uint16_t port, unsigned local_port)
{
	enum { PORT_RANGE_OPTION = 51 }; /* IP_LOCAL_PORT_RANGE, Linux 6.3: chosen, not bound */
	struct sockaddr_in four = {.sin_family = AF_INET,
	                           .sin_port = htons(port),
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK + address)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6,
	                           .sin6_port = htons(port),
	                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *to =
	        family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
	socklen_t size = family == AF_INET ? sizeof(four) : sizeof(six);
	_cleanup_(lp_close_fd) int fd = must(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	uint32_t range = local_port | local_port << 16;
	int one = 1;
	must(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)));
	if (local_port)
		must(setsockopt(fd, IPPROTO_IP, PORT_RANGE_OPTION, &range, sizeof(range)));
	return connect(fd, to, size) < 0 ? lp_errno() : lp_take_fd(fd);
}

void crowd_hold(struct crowd *crowd, int fd)
{
	must(lab_hold(&crowd->fds, fd));
	if (crowd->fds.n < HOLD || crowd->n_holders == CROWD_HOLDERS)
		return;
	pid_t pid = must(fork());
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
			(void)pause();
		_exit(EXIT_SUCCESS);
	}
	crowd->holders[crowd->n_holders++] = pid;
	lab_fds_done(&crowd->fds);
	crowd->fds = (struct lab_fds){0};
}

/* The local port of the n-th connection of a pool; 0: connect() chooses. */
static unsigned port_of(struct crowd *crowd, enum style style, unsigned first, unsigned n)
{
	unsigned size = crowd->high - crowd->low + 1, offset = 0;
	if (style == NATURAL)
		return 0;
	if (style == IN_A_ROW)
		offset = first + n;
	else if (style == ONE_PARITY)
		offset = 2 * (first + n) + (2 * n >= size);
	else if (style == STREWN)
		offset = dice_pick(&crowd->dice, 0, size - 1);
	else /* every other eight */
		offset = (first + n / 8 * 16 + n % 8) + (n * 2 >= size ? 8 : 0);
	return crowd->low + offset % size;
}

void crowd_pool(struct crowd *crowd, enum style style, unsigned n)
{
	struct dice *dice = &crowd->dice;
	int family = dice_chance(dice, 70) ? AF_INET : AF_INET6;
	uint32_t address = dice_pick(dice, 0, 1 << 20);
	uint16_t port = (uint16_t)dice_pick(dice, 1000, 60000);
	unsigned first = dice_pick(dice, 0, crowd->high - crowd->low);
	for (unsigned i = 0; i < n; i++) {
		int fd = crowd_open_alone(family, address, port, port_of(crowd, style, first, i));
		if (fd == -EADDRNOTAVAIL && style != NATURAL)
			continue; /* that port has one already */
		if (fd == -EADDRNOTAVAIL)
			return;
		must(fd);
		crowd_hold(crowd, fd);
		crowd->connections++;
	}
	crowd->pools++;
}

/* ---- the namespace ------------------------------------------------------------------------- */

void crowd_range(struct crowd *crowd, unsigned low, unsigned high)
{
	struct lp_error err = {0};
	crowd->ns = LAB_NS_NONE;
	crowd->low = low;
	crowd->high = high;
	assert_ok(lab_ns_make(&crowd->ns, &err), err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/ip_local_port_range", "%u %u", low, high),
	          err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/tcp_tw_reuse", "0"), err);
}

void crowd_done(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->n_holders; i++) {
		(void)kill(crowd->holders[i], SIGKILL);
		(void)waitpid(crowd->holders[i], NULL, 0);
	}
	lab_fds_done(&crowd->fds);
	lab_ns_done(&crowd->ns);
}

int crowd_unmake(void **state)
{
	crowd_done(*state);
	return 0;
}

struct lp_snapshot *crowd_look_by_any(const struct lab_ns *ns, struct lp_look_options options)
{
	_cleanup_(lab_leave) int home = must(lab_enter(ns));
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	struct lp_snapshot *snapshot = NULL;
	struct lp_error err = {0};
	(void)home;
	options.netns = "self";
	assert_ok(lp_kernel_open(&kernel, &err), err);
	assert_ok(lp_look(&kernel, &options, &snapshot, &err), err);
	assert_int_equal(snapshot->n_netns, 1);
	return snapshot;
}

struct lp_snapshot *crowd_look(const struct lab_ns *ns, struct lp_look_options options)
{
	struct lp_snapshot *snapshot = crowd_look_by_any(ns, options);
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (!strcmp(snapshot->gaps[i].what, "sockets") ||
		    !strcmp(snapshot->gaps[i].what, "reader"))
			fail_msg("%s: %s", snapshot->gaps[i].what, snapshot->gaps[i].why);
	return snapshot;
}
