/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The netlink parser and what groups its sockets. An input is the datagrams of one dump, each with
 * its length in two bytes before it.
 */

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kernel/diag.h"
#include "snapshot/sockets.h"

static int take(const struct lp_diag_message *message, void *context)
{
	struct lp_sockets *sockets = context;
	if (message->state == 0 || message->state >= LP_STATES)
		return 0;
	struct lp_address local =
	        lp_address_make(message->family, message->local, message->ifindex);
	if (message->state == LP_LISTEN) {
		struct lp_listener listener = {.address = local,
		                               .port = message->local_port,
		                               .v6only = message->v6only == 1};
		return lp_sockets_listener(sockets, &listener);
	}
	if (message->state == LP_CLOSE)
		return lp_sockets_bound(sockets, &local, message->local_port, false);
	struct lp_socket socket = {
	        .local = local,
	        .remote = lp_address_make(message->family, message->remote, message->ifindex),
	        .local_port = message->local_port,
	        .remote_port = message->remote_port,
	        .state = message->state,
	        .left_ms = message->expires_ms % (LP_TIME_WAIT_S * 1000 + 1),
	};
	lp_sockets_add(sockets, &socket);
	return 0;
}

/* A copy of its own, so that a read past the end is seen. */
static int parse(const uint8_t *data, size_t size, struct lp_sockets *sockets)
{
	char *datagram = malloc(size ? size : 1);
	if (!datagram)
		return 0;
	memcpy(datagram, data, size);
	struct lp_netlink_result result = {0};
	int r = lp_diag_parse(datagram, size, 1, take, sockets, &result);
	free(datagram);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lp_port_map reserved;
	struct lp_netns netns = {
	        .range_low = lp_figure(40000), .range_high = lp_figure(40099), .has_ipv6 = true};
	struct lp_sockets *sockets;
	if (lp_sockets_new(&netns, &reserved, &sockets) < 0)
		return 0;
	lp_sockets_begin(sockets);
	while (size >= 2) {
		size_t length = (size_t)(data[0] | data[1] << 8);
		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		if (parse(data, length, sockets) != 0)
			break;
		data += length;
		size -= length;
	}
	(void)lp_sockets_finish(sockets);
	lp_sockets_free(sockets);
	free(netns.listeners);
	free(netns.binds);
	free(netns.pools);
	return 0;
}
