/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/router.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "lab/conntrack.h"
#include "lab/link.h"
#include "lab/nft.h"

int lab_router_join(const struct lab_router *router, struct lp_error *err)
{
	const struct lab_ns *client = &router->client, *middle = &router->router,
	                    *server = &router->server;
	int r = lab_veth(client, "out", middle, "inside", err);
	if (r == 0)
		r = lab_veth(middle, "outside", server, "in", err);
	if (r == 0)
		r = lab_address(client, "out", LAB_ROUTER_CLIENT "/24", err);
	if (r == 0)
		r = lab_address(middle, "inside", "10.1.0.1/24", err);
	if (r == 0)
		r = lab_address(middle, "outside", LAB_ROUTER_OUTSIDE "/24", err);
	if (r == 0)
		r = lab_address(server, "in", LAB_ROUTER_SERVER "/24", err);
	if (r == 0)
		r = lab_route(client, "0.0.0.0/0", "10.1.0.1", NULL, err);
	if (r == 0)
		r = lab_sysctl(middle, err, "ipv4/ip_forward", "1");
	return r;
}

int lab_router_translate(const struct lab_router *router, uint16_t first, uint16_t last,
                         struct lp_error *err)
{
	return lab_nft_snat(&router->router, "outside", LAB_ROUTER_OUTSIDE, first, last, err);
}

void lab_router_done(struct lab_router *router)
{
	lab_ns_done(&router->client);
	lab_ns_done(&router->router);
	lab_ns_done(&router->server);
}

/* Entries, and packets dropped for want of one. */
static int look(const struct lab_ns *ns, int64_t *entries, uint64_t *dropped, struct lp_error *err)
{
	struct lab_conntrack_stats stats;
	int r = lab_conntrack_stats(ns, &stats, err);
	if (r < 0)
		return r;
	*dropped = stats.drop;
	*entries = lab_conntrack_count(ns, err);
	return *entries < 0 ? (int)*entries : 0;
}

int lab_router_try(const struct lab_router *router, uint16_t from_port, uint16_t to_port,
                   struct lp_error *err)
{
	int64_t entries_before, entries;
	uint64_t dropped_before, dropped;
	int r = look(&router->router, &entries_before, &dropped_before, err);
	if (r < 0)
		return r;
	struct lab_addr from = lab_addr(LAB_ROUTER_CLIENT, from_port);
	struct lab_addr to = lab_addr(LAB_ROUTER_SERVER, to_port);
	struct lab_how how = {.ns = &router->client, .from = &from, .options = LAB_NONBLOCK};
	_cleanup_(lp_close_fd) int fd = lab_connect(&how, &to);
	if (fd < 0)
		return lp_fail(err, -fd, "connect from port %u: %s", from_port, strerror(-fd));

	int64_t deadline = lp_clock_ns() + LAB_TIMEOUT_MS * INT64_C(1000000);
	/* Nearly always it is through by now; on a busy machine the softirq may be late. */
	for (;;) {
		r = look(&router->router, &entries, &dropped, err);
		if (r < 0)
			return r;
		if (entries > entries_before)
			return 1;
		if (dropped > dropped_before)
			return 0;
		if (lp_clock_ns() > deadline)
			return lp_fail(err, ETIMEDOUT, "a SYN never reached the router");
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
}
