/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/provokers.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "lab/lab.h"

enum {
	PORTS = 500,
	DESCRIPTORS = 256,
	BACKLOG = 127,
	TIME_WAITS = 1000,
	SNAT_FIRST = 2000,
	SNAT_PORTS = 1000,
	PORT = 80,
	FIRST_UNPRIVILEGED = 1024,
	UNPRIVILEGED = 65536 - FIRST_UNPRIVILEGED,
	A_SECOND = 1000 / LAB_PROVOKE_EVERY_MS, /* rounds of keep() */
};

static int listen_here(struct lab_provoking *p, int backlog, struct lp_error *err)
{
	p->to = lab_addr("127.0.0.1", PORT);
	struct lab_how how = {.from = &p->to};
	int r = lab_sysctl(NULL, err, "core/somaxconn", "4096");
	if (r < 0)
		return r;
	p->listener = lab_listen(&how, backlog);
	return p->listener < 0 ? lp_fail(err, -p->listener, "listen: %s", strerror(-p->listener))
	                       : 0;
}

static int all_of_them(struct lab_count count, unsigned n, struct lp_error *err)
{
	if (count.n >= n)
		return 0;
	return lp_fail(err, count.error ? count.error : EIO, "%u of %u: %s", count.n, n,
	               strerror(count.error));
}

/* One connection more each second, refused or not: what people see when the limit is reached. */
static void knock(struct lab_provoking *p)
{
	if (p->rounds++ % A_SECOND)
		return;
	struct lab_how how = {.options = LAB_NONBLOCK};
	int fd = lab_connect(&how, &p->to);
	lp_close_fd(&fd);
}

static int few_ports(struct lp_error *err)
{
	return lab_sysctl(NULL, err, "ipv4/ip_local_port_range", "40000 %u", 40000 + PORTS - 1);
}

static int bring_local_ports(struct lab_provoking *p, struct lp_error *err)
{
	int r = few_ports(err);
	if (r == 0)
		r = listen_here(p, 4096, err);
	if (r < 0)
		return r;
	struct lab_how how = {0};
	return all_of_them(lab_connect_many(&how, &p->to, PORTS, &p->fds), PORTS, err);
}

static int bring_bind_ports(struct lab_provoking *p, struct lp_error *err)
{
	int r = few_ports(err);
	if (r < 0)
		return r;
	struct lab_addr any = lab_addr("127.0.0.1", 0);
	struct lab_how how = {.from = &any};
	return all_of_them(lab_bind_many(&how, PORTS, &p->fds), PORTS, err);
}

static int bring_accept_queue(struct lab_provoking *p, struct lp_error *err)
{
	int r = listen_here(p, BACKLOG, err);
	if (r < 0)
		return r;
	struct lab_how how = {0};
	return all_of_them(lab_connect_many(&how, &p->to, BACKLOG + 1, &p->fds), BACKLOG + 1, err);
}

static int bring_descriptors(struct lab_provoking *p, struct lp_error *err)
{
	(void)p;
	struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return lp_fail(err, errno, "RLIMIT_NOFILE: %s", strerror(errno));
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		;
	return errno == EMFILE ? 0 : lp_fail(err, errno, "/dev/null: %s", strerror(errno));
}

static int bring_time_waits(struct lab_provoking *p, struct lp_error *err)
{
	int r = lab_sysctl(NULL, err, "ipv4/tcp_max_tw_buckets", "%d", TIME_WAITS);
	if (r == 0)
		r = listen_here(p, BACKLOG, err);
	if (r < 0)
		return r;
	struct lab_how how = {0};
	return all_of_them(
	        lab_open_and_end(&how, &p->to, p->listener, LAB_CLIENT_FIRST, TIME_WAITS),
	        TIME_WAITS, err);
}

/* Makes good for those that went away, most of them in one go, and some too many. */
static void keep_time_waits(struct lab_provoking *p)
{
	struct lab_how how = {0};
	int there = lab_time_wait_count(NULL);
	unsigned missing = there >= 0 && there < TIME_WAITS ? (unsigned)(TIME_WAITS - there) : 0;
	(void)lab_open_and_end(&how, &p->to, p->listener, LAB_CLIENT_FIRST, missing + 1);
}

/* ---- client-ports ---------------------------------------------------------------------------
 */

/*
 * The server closes first, and hears that its FIN arrived: by a byte from the client, since a mere
 * ACK may be delayed by 40 ms.
 */
static int close_server_first(const struct lab_pair *pair)
{
	char byte = 'x';
	if (shutdown(pair->server, SHUT_WR) < 0)
		return -errno;
	int r = lab_wait_eof(pair->client, LAB_TIMEOUT_MS);
	if (r < 0)
		return r;
	if (send(pair->client, &byte, 1, MSG_NOSIGNAL) != 1)
		return -errno;
	r = lab_wait_tcp_state(pair->server, TCP_FIN_WAIT2, LAB_TIMEOUT_MS);
	if (r < 0)
		return r;
	/* what is left unread would have close() send a reset */
	return recv(pair->server, &byte, 1, MSG_DONTWAIT) == 1 ? 0 : -EPROTO;
}

/*
 * Has the server hold the tuple of one client port at the price of 256 bytes: it closes first, and
 * the client vanishes (TCP_REPAIR sends nothing), so the server waits for its FIN for 60 s.
 */
static int hold_tuple(struct lab_provoking *p, uint16_t port)
{
	struct lab_addr from = lab_addr("127.0.0.2", port);
	struct lab_how how = {.from = &from, .options = LAB_REUSEADDR};
	struct lab_pair pair = LAB_PAIR_NONE;
	int on = 1;
	int r = lab_pair_open(&how, &p->to, p->listener, &pair);
	if (r < 0)
		return r;
	r = close_server_first(&pair);
	if (r == 0 && setsockopt(pair.client, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
		r = -errno;
	(void)close(pair.client);
	(void)close(pair.server);
	return r;
}

static int bring_client_ports(struct lab_provoking *p, struct lp_error *err)
{
	int r = lab_sysctl(NULL, err, "ipv4/tcp_max_tw_buckets", "%d", 2 * UNPRIVILEGED);
	if (r == 0)
		r = listen_here(p, BACKLOG, err);
	if (r < 0)
		return r;
	p->used_ns = calloc(UNPRIVILEGED, sizeof(*p->used_ns));
	if (!p->used_ns)
		return lp_fail(err, ENOMEM, "no memory");
	for (unsigned i = 0; i < UNPRIVILEGED; i++) {
		r = hold_tuple(p, (uint16_t)(FIRST_UNPRIVILEGED + i));
		if (r < 0)
			return lp_fail(err, -r, "port %u: %s", FIRST_UNPRIVILEGED + i,
			               strerror(-r));
		p->used_ns[i] = lp_clock_ns();
	}
	return 0;
}

/* They go away in the order in which they came; a port that is not free yet gets its turn again. */
static void keep_client_ports(struct lab_provoking *p)
{
	for (unsigned n = 0; n < UNPRIVILEGED; n++) {
		int64_t now = lp_clock_ns();
		if (now - p->used_ns[p->next] < INT64_C(60500) * 1000000 ||
		    hold_tuple(p, (uint16_t)(FIRST_UNPRIVILEGED + p->next)) < 0)
			return;
		p->used_ns[p->next] = now;
		p->next = (p->next + 1) % UNPRIVILEGED;
	}
}

/* ---- what needs the packet filter -------------------------------------------------------------
 */

static int bring_conntrack(struct lab_provoking *p, struct lp_error *err)
{
	struct lab_conntrack_fill fill = {.from = lab_addr("10.0.0.1", 2000),
	                                  .to = lab_addr("10.1.0.1", 443),
	                                  .ports = 30000};
	int r = lab_nft_track(NULL, err);
	if (r == 0)
		r = listen_here(p, BACKLOG, err);
	return r < 0 ? r : lab_conntrack_fill_up(NULL, &fill, 0, err);
}

static int make_router(struct lab_provoking *p, struct lp_error *err)
{
	p->router = LAB_ROUTER_NONE;
	int r = lab_ns_self(&p->router.router, err);
	if (r == 0)
		r = lab_ns_make(&p->router.client, err);
	if (r == 0)
		r = lab_ns_make(&p->router.server, err);
	if (r == 0)
		r = lab_router_join(&p->router, err);
	if (r == 0)
		r = lab_router_translate(&p->router, SNAT_FIRST, SNAT_FIRST + SNAT_PORTS - 1, err);
	if (r == 0)
		r = lab_nft_drop(&p->router.server, PORT, err);
	/* an entry whose SYN nobody answers would be gone after two minutes */
	if (r == 0)
		r = lab_sysctl(NULL, err, "netfilter/nf_conntrack_tcp_timeout_syn_sent", "86400");
	return r;
}

/* Until as many failed in a row as leave hardly a port unused. */
static int bring_snat(struct lab_provoking *p, struct lp_error *err)
{
	int r = make_router(p, err);
	if (r < 0)
		return r;
	unsigned in_a_row = 0;
	for (uint16_t port = 30000; in_a_row < 10 && port < 30000 + 4 * SNAT_PORTS; port++) {
		r = lab_router_try(&p->router, port, PORT, err);
		if (r < 0)
			return r;
		in_a_row = r ? 0 : in_a_row + 1;
	}
	return in_a_row < 10 ? lp_fail(err, EIO, "the router never ran out of ports") : 0;
}

static void keep_snat(struct lab_provoking *p)
{
	if (p->rounds++ % A_SECOND == 0)
		(void)lab_router_try(&p->router, (uint16_t)(50000 + p->rounds % 10000), PORT, NULL);
}

/* Clients that never say the third word. */
static void half_open(struct lab_provoking *p, unsigned n)
{
	struct lab_how how = {.options = LAB_NONBLOCK};
	while (n--) {
		int fd = lab_connect(&how, &p->to);
		lp_close_fd(&fd);
	}
}

static int bring_syn_queue(struct lab_provoking *p, struct lp_error *err)
{
	int r = lab_nft(NULL, err,
	                "table inet lose { chain in { type filter hook prerouting priority raw;"
	                " tcp sport %d tcp flags & (syn | ack) == syn | ack drop; }; }",
	                PORT);
	if (r == 0)
		r = lab_sysctl(NULL, err, "ipv4/tcp_syncookies", "1");
	if (r == 0)
		r = listen_here(p, BACKLOG, err);
	if (r == 0)
		half_open(p, 2 * BACKLOG);
	return r;
}

/* The kernel gives up on old ones early while the queue is full. */
static void keep_syn_queue(struct lab_provoking *p)
{
	half_open(p, BACKLOG / 4);
}

const struct lab_provoker lab_provokers[] = {
        {"local-ports", "all 500 ports of a small range are held towards 127.0.0.1:80",
         bring_local_ports, knock},
        {"bind-ports", "all 500 ports of a small range are bound on 127.0.0.1", bring_bind_ports,
         NULL},
        {"client-ports", "127.0.0.2 holds all its 64,512 ports at 127.0.0.1:80", bring_client_ports,
         keep_client_ports},
        {"time-wait-buckets", "tcp_max_tw_buckets is 1,000 and as many are in TIME_WAIT",
         bring_time_waits, keep_time_waits},
        {"file-descriptors", "a process has all the 256 descriptors open that it may",
         bring_descriptors, NULL},
        {"accept-queue", "128 connections wait at 127.0.0.1:80 with a backlog of 127",
         bring_accept_queue, knock},
        {"syn-queue", "half-open connections fill the queue of 127.0.0.1:80", bring_syn_queue,
         keep_syn_queue},
        {"conntrack-entries", "the namespace's conntrack table is full, and connections are lost",
         bring_conntrack, knock},
        {"snat-ports", "a router has hardly one of its 1,000 ports left towards 10.2.0.2:80",
         bring_snat, keep_snat},
        {0},
};
