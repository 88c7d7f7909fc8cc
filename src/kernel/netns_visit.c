/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Going round the namespaces. To be in one changes a thread for good, so one of its own does. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "kernel/kernel.h"

#ifndef SO_NETNS_COOKIE /* since Linux 5.14 (e8b9eab99232) */
#define SO_NETNS_COOKIE 71
#endif

struct round {
	const struct lp_kernel *kernel;
	const struct lp_netns_list *list;
	const struct lp_netns_visitor *visitor;
};

static int enter(const struct lp_kernel *kernel, const struct lp_netns_place *place)
{
	if (place->own)
		return 0; /* the first one of all: the thread has not moved yet */
	_cleanup_(lp_close_fd) int fd = lp_netns_place_open(kernel, place);
	if (fd < 0)
		return fd;
	return setns(fd, CLONE_NEWNET) < 0 ? lp_errno() : 0;
}

static void *go_round(void *state)
{
	const struct round *round = state;
	const struct lp_netns_visitor *visitor = round->visitor;
	for (size_t i = 0; i < round->list->n; i++) {
		if (visitor->wants && !visitor->wants(visitor->context, i))
			continue;
		int error = enter(round->kernel, &round->list->items[i]);
		visitor->visit(visitor->context, i, error);
	}
	return NULL;
}

int lp_netns_visit(const struct lp_kernel *kernel, const struct lp_netns_list *list,
                   const struct lp_netns_visitor *visitor)
{
	struct round round = {kernel, list, visitor};
	pthread_t thread;
	int error = pthread_create(&thread, NULL, go_round, &round);
	if (error)
		return lp_negative(error);
	(void)pthread_join(thread, NULL);
	return 0;
}

uint32_t lp_netns_cookie(void)
{
	_cleanup_(lp_close_fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return 0;
	return (uint32_t)cookie;
}

static void take_cookie(void *context, size_t index, int error)
{
	struct lp_netns_place *place = &((struct lp_netns_list *)context)->items[index];
	place->cookie = error ? 0 : lp_netns_cookie();
	place->gone = error == -ENOENT;
}

int lp_netns_list_cookies(const struct lp_kernel *kernel, struct lp_netns_list *list)
{
	const struct lp_netns_visitor visitor = {.visit = take_cookie, .context = list};
	int r = lp_netns_visit(kernel, list, &visitor);
	size_t left = 0;
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].gone)
			lp_netns_place_done(&list->items[i]);
		else
			list->items[left++] = list->items[i];
	list->n = left;
	return r;
}
