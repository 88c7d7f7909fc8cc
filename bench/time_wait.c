/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fills the network namespace it runs in with TIME_WAIT sockets. Commands come on standard input,
 * one a line: a number is how many TIME_WAITs there shall be; the answer is how many there are
 * once that is done. Ends with its input. What expires meanwhile is not replaced until the next
 * command, so that nothing runs while somebody measures.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	FIRST_PORT = 7000, /* of the listeners, one a process; below the range of local ports */
	MOST_PROCESSES = 64,
	MOST_GROUPS = 1000000,
	MOST_FILLS = 4,
	FILL_S = 120, /* no fill takes longer */
};

struct plan {
	unsigned groups; /* pairs of remote address and port, over all processes */
	unsigned processes;
};

static bool write_sysctl(const char *path, const char *value)
{
	_cleanup_(lp_close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(value);
	if (fd >= 0 && write(fd, value, (size_t)length) == length)
		return true;
	fprintf(stderr, "time_wait: %s: %s\n", path, strerror(errno));
	return false;
}

/* A million TIME_WAITs are for a namespace of our own, never for the machine's. */
static bool in_own_namespace(void)
{
	struct stat ours, first;
	if (stat("/proc/self/ns/net", &ours) < 0)
		return false;
	return stat("/proc/1/ns/net", &first) < 0 || ours.st_ino != first.st_ino;
}

static bool loopback_up(void)
{
	_cleanup_(lp_close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0)
		return true;
	fprintf(stderr, "time_wait: lo: %s\n", strerror(errno));
	return false;
}

static bool prepare(void)
{
	if (!in_own_namespace()) {
		fprintf(stderr, "time_wait: run it in a network namespace of its own\n");
		return false;
	}
	return loopback_up() && write_sysctl("/proc/sys/net/ipv4/tcp_max_tw_buckets", "4000000") &&
	       write_sysctl("/proc/sys/net/ipv4/tcp_tw_reuse", "0");
}

/* `tw` of sockstat, or -1. */
static long count(void)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/self/net/sockstat", "re");
	char line[256];
	long n;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "TCP: inuse %*d orphan %*d tw %ld", &n) == 1)
			return n;
	return -1;
}

static int listen_on(uint16_t port)
{
	_cleanup_(lp_close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 8) < 0)
		return -1;
	return lp_take_fd(fd);
}

/* One connection, closed by its client first: the client keeps the TIME_WAIT. */
static bool leave_one(int listener, uint16_t port, uint32_t group)
{
	struct sockaddr_in to = {
	        .sin_family = AF_INET,
	        .sin_port = htons(port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000 + group),
	};
	_cleanup_(lp_close_fd) int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || connect(client, (struct sockaddr *)&to, sizeof(to)) < 0)
		return false;
	_cleanup_(lp_close_fd) int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	(void)close(lp_take_fd(client));
	return server >= 0;
}

/*
 * The share of one process, as a child: round robin over its groups, from a place of its own.
 * There are no more processes than groups.
 */
static int work(const struct plan *plan, unsigned process, long n, int64_t deadline_ns)
{
	uint16_t port = (uint16_t)(FIRST_PORT + process);
	uint32_t groups = (plan->groups + plan->processes - 1 - process) / plan->processes;
	uint32_t group = (uint32_t)getpid() % groups;
	_cleanup_(lp_close_fd) int listener = listen_on(port);
	if (listener < 0) {
		fprintf(stderr, "time_wait: port %d: %s\n", port, strerror(errno));
		return EXIT_FAILURE;
	}
	for (long i = 0; i < n; i++, group = (group + 1) % groups) {
		if (!leave_one(listener, port, group)) {
			fprintf(stderr, "time_wait: connect: %s\n", strerror(errno));
			return EXIT_FAILURE;
		}
		if (i % 1024 == 0 && lp_clock_ns() > deadline_ns)
			break;
	}
	return EXIT_SUCCESS;
}

static bool fill_once(const struct plan *plan, long n, int64_t deadline_ns)
{
	unsigned busy = plan->groups < plan->processes ? plan->groups : plan->processes;
	bool good = true;
	for (unsigned i = 0; i < busy; i++) {
		long share = n / (long)busy + (i < n % (long)busy);
		pid_t pid = fork();
		if (pid == 0)
			_exit(work(plan, i, share, deadline_ns));
		good = good && pid > 0;
	}
	int status;
	while (wait(&status) > 0)
		good = good && status == 0;
	return good;
}

/* Some expire while others are made: goes on until there are as many as wanted. */
static bool fill(const struct plan *plan, long wanted)
{
	int64_t deadline_ns = lp_clock_ns() + FILL_S * INT64_C(1000000000);
	for (int i = 0; i < MOST_FILLS && lp_clock_ns() < deadline_ns; i++) {
		long missing = wanted - count();
		if (missing <= 0)
			break;
		if (!fill_once(plan, missing, deadline_ns))
			return false;
	}
	return true;
}

static bool number(const char *text, long most, long *ret)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || (*end && *end != '\n') || n < 1 || n > most) {
		fprintf(stderr, "time_wait: %s: not a number from 1 to %ld\n", text, most);
		return false;
	}
	*ret = n;
	return true;
}

static bool parse(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {
	        {"groups", required_argument, NULL, 'g'},
	        {"processes", required_argument, NULL, 'p'},
	        {0},
	};
	long n;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'g' && number(optarg, MOST_GROUPS, &n))
			plan->groups = (unsigned)n;
		else if (c == 'p' && number(optarg, MOST_PROCESSES, &n))
			plan->processes = (unsigned)n;
		else
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct plan plan = {.groups = 400, .processes = 2};
	char line[64];
	long wanted;
	if (!parse(argc, argv, &plan)) {
		fprintf(stderr, "usage: time_wait [--groups N] [--processes N]\n");
		return 64;
	}
	if (!prepare())
		return EXIT_FAILURE;
	while (fgets(line, sizeof(line), stdin)) {
		if (!number(line, 4000000, &wanted) || !fill(&plan, wanted))
			return EXIT_FAILURE;
		printf("%ld\n", count());
		(void)fflush(stdout);
	}
	return EXIT_SUCCESS;
}
