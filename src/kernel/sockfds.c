/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sockfds.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/scan.h"
#include "kernel/text.h"

void lp_sockfds_done(struct lp_sockfds *fds)
{
	free(fds->items);
	free(fds->unsearched);
	*fds = (struct lp_sockfds){0};
}

int lp_socket_link_parse(const char *link, uint32_t *ret)
{
	static const char prefix[] = "socket:[";
	const char *at = link + sizeof(prefix) - 1;
	uint64_t inode;
	if (strncmp(link, prefix, sizeof(prefix) - 1) != 0 ||
	    lp_number_parse(&at, UINT32_MAX, &inode) < 0 || strcmp(at, "]") != 0)
		return -EINVAL;
	*ret = (uint32_t)inode;
	return 0;
}

static int add(struct lp_sockfds *fds, pid_t pid, const char *link, uint32_t weight)
{
	uint32_t inode;
	if (lp_socket_link_parse(link, &inode) < 0)
		return 0;
	if (!lp_array_grow(&fds->items, &fds->room, fds->n, sizeof(*fds->items)))
		return -ENOMEM;
	fds->items[fds->n++] = (struct lp_sockfd){inode, pid, weight};
	return 0;
}

int lp_sockfds_link(struct lp_sockfds *fds, pid_t pid, const char *link)
{
	return add(fds, pid, link, 1);
}

int lp_sockfds_unsearched(struct lp_sockfds *fds, const struct lp_holder *holder)
{
	if (!lp_array_grow(&fds->unsearched, &fds->room_unsearched, fds->n_unsearched,
	                   sizeof(*fds->unsearched)))
		return -ENOMEM;
	fds->unsearched[fds->n_unsearched++] = *holder;
	return 0;
}

/* ---- the search ---------------------------------------------------------------------------- */

struct search {
	struct lp_sockfds *fds;
	const struct lp_holder *holder;
	uint32_t step; /* each so many-th descriptor is looked at */
};

static int look_at(void *data, int dir, uint64_t number)
{
	const struct search *search = data;
	char name[24], link[64];
	(void)snprintf(name, sizeof(name), "%" PRIu64, number);
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	return add(search->fds, search->holder->pid, link, search->step);
}

/* Each so many-th number, whether it is open or not: listing them costs half of looking. */
static int look_at_some(struct search *search, int task)
{
	char text[LP_TEXT_SMALL];
	uint64_t size;
	ssize_t n = lp_read_text(task, "status", text, sizeof(text));
	int r = n < 0 ? (int)n : lp_fd_size_parse(text, &size);
	if (r < 0)
		return r;
	_cleanup_(lp_close_fd) int dir = openat(task, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return lp_errno();
	for (uint64_t number = 0; number < size && r == 0; number += search->step)
		r = look_at(search, dir, number);
	return r;
}

static int search_process(const struct lp_kernel *kernel, struct search *search)
{
	_cleanup_(lp_close_fd) int dir =
	        openat(kernel->proc, search->holder->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? lp_errno() : 0;
	if (r == 0)
		r = search->step == 1 ? lp_fd_each(dir, 0, look_at, search)
		                      : look_at_some(search, dir);
	search->fds->hidden |= r == -EACCES || r == -EPERM;
	return r == -ENOMEM ? r : 0; /* else it is gone */
}

int lp_sockfds_search(const struct lp_kernel *kernel, struct lp_sockfds *fds)
{
	uint64_t descriptors = 0;
	for (size_t i = 0; i < fds->n_unsearched; i++)
		descriptors += fds->unsearched[i].open;
	/* odd: programs that take sockets in pairs have each kind at numbers of one parity */
	uint64_t step = descriptors / LP_SOCKFDS_SEARCHED | 1;
	struct search search = {.fds = fds,
	                        .step = step < UINT16_MAX ? (uint32_t)step : UINT16_MAX};
	int r = 0;
	for (size_t i = 0; i < fds->n_unsearched && r == 0; i++) {
		search.holder = &fds->unsearched[i];
		r = search_process(kernel, &search);
	}
	fds->sampled = fds->n_unsearched && search.step > 1;
	fds->n_unsearched = 0;
	return r;
}

/* ---- who holds a socket -------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct lp_sockfd *x = a, *y = b;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void lp_sockfds_sort(struct lp_sockfds *fds)
{
	size_t kept = 0;
	if (!fds->n)
		return;
	qsort(fds->items, fds->n, sizeof(*fds->items), compare);
	/* by two descriptors of one process it is held once */
	for (size_t i = 0; i < fds->n; i++)
		if (!kept || compare(&fds->items[kept - 1], &fds->items[i]) != 0)
			fds->items[kept++] = fds->items[i];
	fds->n = kept;
}

size_t lp_sockfds_of(const struct lp_sockfds *fds, uint32_t inode, const struct lp_sockfd **ret)
{
	size_t low = 0, high = fds->n, n = 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (fds->items[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < fds->n && fds->items[low + n].inode == inode)
		n++;
	*ret = n ? &fds->items[low] : NULL;
	return n;
}
