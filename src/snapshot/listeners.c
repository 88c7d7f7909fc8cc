/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/listeners.h"

#include <stdlib.h>
#include <string.h>

static int compare_places(const struct lp_listener *a, const struct lp_listener *b)
{
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return memcmp(&a->address, &b->address, sizeof(a->address));
}

static int compare(const void *x, const void *y)
{
	const struct lp_listener *a = x, *b = y;
	int order = compare_places(a, b);
	if (order != 0)
		return order;
	/* the first of a group tells for IPv4 whether any of [::] takes it */
	if (a->v6only != b->v6only)
		return a->v6only ? 1 : -1;
	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

void lp_listeners_begin(struct lp_netns *netns)
{
	if (netns->n_listeners)
		qsort(netns->listeners, netns->n_listeners, sizeof(*netns->listeners), compare);
	for (size_t i = 0; i < netns->n_listeners; i++)
		netns->listeners[i].requests = lp_figure(0);
}

/* The first of the group that listens there; NULL for none. */
static struct lp_listener *find(struct lp_netns *netns, struct lp_address address, uint16_t port)
{
	const struct lp_listener key = {.address = address, .port = port};
	size_t low = 0, high = netns->n_listeners;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_places(&netns->listeners[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < netns->n_listeners && !compare_places(&netns->listeners[low], &key);
	return found ? &netns->listeners[low] : NULL;
}

void lp_listeners_request(struct lp_netns *netns, const struct lp_address *local, uint16_t port)
{
	struct lp_listener *listener = find(netns, *local, port);
	if (!listener)
		listener = find(netns, lp_address_any(local->family), port);
	if (!listener && local->family == AF_INET) {
		listener = find(netns, lp_address_any(AF_INET6), port);
		if (listener && listener->v6only)
			return;
	}
	if (listener)
		listener->requests.n++;
}

void lp_listeners_forget_requests(struct lp_netns *netns)
{
	for (size_t i = 0; i < netns->n_listeners; i++)
		netns->listeners[i].requests = (struct lp_figure){0};
}

size_t lp_listeners_group(const struct lp_netns *netns, size_t first)
{
	size_t n = 1;
	while (first + n < netns->n_listeners &&
	       !compare_places(&netns->listeners[first], &netns->listeners[first + n]))
		n++;
	return n;
}

/* sk_acceptq_is_full() in include/net/sock.h */
static bool is_full(const struct lp_listener *listener)
{
	return listener->waiting > listener->backlog;
}

/* The only one that is full; NULL where there are others or none. */
static const struct lp_listener *only_full(const struct lp_netns *netns)
{
	const struct lp_listener *full = NULL;
	for (size_t i = 0; i < netns->n_listeners; i++) {
		if (!is_full(&netns->listeners[i]))
			continue;
		if (full)
			return NULL;
		full = &netns->listeners[i];
	}
	return full;
}

static bool is_same(const struct lp_listener *a, const struct lp_listener *b)
{
	return a && b && a->inode && a->inode == b->inode;
}

struct lp_overflow lp_listeners_overflow(const struct lp_netns *before, const struct lp_netns *now)
{
	struct lp_overflow overflow = {.how = LP_OVERFLOW_OF_NAMESPACE};
	if (!before->sockets_read || !now->sockets_read)
		return overflow;
	const struct lp_listener *full = only_full(now);
	if (before->n_listeners == 1 && now->n_listeners == 1 &&
	    is_same(before->listeners, now->listeners))
		overflow = (struct lp_overflow){LP_OVERFLOW_OF_ONLY, now->listeners->inode};
	else if (is_same(only_full(before), full))
		overflow = (struct lp_overflow){LP_OVERFLOW_OF_ONLY_FULL, full->inode};
	return overflow;
}
