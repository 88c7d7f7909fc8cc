/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

struct lab_server {
	int listener, stop, poll;
	enum lab_serve serve;
	unsigned most, open;
	atomic_uint accepted;
	struct lab_addr at;
	bool *ours; /* by descriptor: an accepted connection */
	size_t room;
	pthread_t thread;
};

static int watch(const struct lab_server *server, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(server->poll, EPOLL_CTL_ADD, fd, &event) < 0 ? lp_errno() : 0;
}

static void forget(struct lab_server *server, int fd)
{
	if (server->open-- == server->most)
		(void)watch(server, server->listener);
	server->ours[fd] = false;
	(void)close(fd);
}

static bool remember(struct lab_server *server, int fd)
{
	if ((size_t)fd >= server->room) {
		size_t room = (size_t)fd * 2 + 64;
		bool *ours = realloc(server->ours, room);
		if (!ours)
			return false;
		for (size_t i = server->room; i < room; i++)
			ours[i] = false;
		server->ours = ours;
		server->room = room;
	}
	server->ours[fd] = true;
	if (++server->open == server->most)
		(void)epoll_ctl(server->poll, EPOLL_CTL_DEL, server->listener, NULL);
	return true;
}

static void take(struct lab_server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	atomic_fetch_add(&server->accepted, 1);
	if (server->serve == LAB_SERVE_CLOSE || !remember(server, fd)) {
		(void)close(fd);
		return;
	}
	if (server->serve != LAB_SERVE_HOLD && watch(server, fd) < 0)
		forget(server, fd);
}

static void hear(struct lab_server *server, int fd)
{
	char buf[16384];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	bool lost = n <= 0;
	if (!lost && server->serve == LAB_SERVE_ECHO)
		lost = send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n;
	if (lost)
		forget(server, fd);
}

static void *run(void *argument)
{
	struct lab_server *server = argument;
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(server->poll, events, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == server->stop)
				return NULL;
			if (fd == server->listener)
				take(server);
			else
				hear(server, fd);
		}
	}
}

static void server_free(struct lab_server *server)
{
	for (size_t fd = 0; fd < server->room; fd++)
		if (server->ours[fd])
			(void)close((int)fd);
	lp_close_fd(&server->listener);
	lp_close_fd(&server->stop);
	lp_close_fd(&server->poll);
	free(server->ours);
	free(server);
}

static int server_open(struct lab_server *server, const struct lab_how *how, int backlog)
{
	server->listener = lab_listen(how, backlog);
	if (server->listener < 0)
		return server->listener;
	server->at = lab_addr_local(server->listener);
	server->stop = eventfd(0, EFD_CLOEXEC);
	server->poll = epoll_create1(EPOLL_CLOEXEC);
	if (server->stop < 0 || server->poll < 0)
		return lp_errno();
	int r = watch(server, server->listener);
	if (r == 0)
		r = watch(server, server->stop);
	if (r == 0)
		r = -pthread_create(&server->thread, NULL, run, server);
	return r;
}

int lab_server_start(const struct lab_how *how, int backlog, enum lab_serve serve, unsigned most,
                     struct lab_server **ret)
{
	struct lab_server *server = malloc(sizeof(*server));
	if (!server)
		return -ENOMEM;
	*server = (struct lab_server){
	        .listener = -1, .stop = -1, .poll = -1, .serve = serve, .most = most};
	struct lab_how inside = *how;
	inside.options |= LAB_NONBLOCK;
	int r = server_open(server, &inside, backlog);
	if (r < 0) {
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

struct lab_addr lab_server_addr(const struct lab_server *server)
{
	return server->at;
}

unsigned lab_server_accepted(const struct lab_server *server)
{
	return atomic_load(&server->accepted);
}

void lab_server_stop(struct lab_server *server)
{
	if (!server)
		return;
	(void)eventfd_write(server->stop, 1);
	(void)pthread_join(server->thread, NULL);
	server_free(server);
}
