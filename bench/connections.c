/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens, accepts and closes connections as fast as it can, in the network namespace it runs in.
 * Commands come on standard input, one a line: a number is for how many milliseconds. The answer
 * is what was done by then: "opened closed_first refused cpu_us wall_us".
 *
 * With --refused N each Nth round also calls connect() where it finds no port, in two ways: the
 * range of the socket is used up, and the port that bind() gave it has that connection already.
 * With --orderly the end that closes second waits for the other's FIN: where the machine is busy
 * both would close first now and then.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* linux/in.h, since 6.3 */
#endif

enum {
	FIRST_PORT = 7000, /* of the listeners, one a process; below the range of local ports */
	/* one a process, which those that shall be refused want: within the usual range … */
	FULL_PORT = 60000,
	BOUND_PORT = 21000, /* … and outside of it */
	MOST_PROCESSES = 64,
	MOST_DESTINATIONS = 60000,
	ROUND = 64, /* connections between two looks at the clock */
};

struct plan {
	unsigned processes, destinations;
	unsigned refused; /* one each so many connections; 0: none */
	bool orderly;
	const char *buckets;
};

struct done {
	uint64_t opened, closed_first, refused, cpu_us;
	bool failed;
};

/* One process: its listener, and what holds the ports of those that shall be refused. */
struct side {
	const struct plan *plan;
	unsigned number;
	int listener;
	struct sockaddr_in to;
	uint64_t next;
	struct done *done; /* shared with the parent */
};

static bool complain(const char *what)
{
	fprintf(stderr, "connections: %s: %s\n", what, strerror(errno));
	return false;
}

static bool write_sysctl(const char *path, const char *value)
{
	_cleanup_(lp_close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(value);
	return (fd >= 0 && write(fd, value, (size_t)length) == length) || complain(path);
}

static bool prepare(const struct plan *plan)
{
	struct stat ours, first;
	bool own = stat("/proc/self/ns/net", &ours) == 0 &&
	           (stat("/proc/1/ns/net", &first) < 0 || ours.st_ino != first.st_ino);
	if (!own) {
		fprintf(stderr, "connections: run it in a network namespace of its own\n");
		return false;
	}
	_cleanup_(lp_close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return complain("lo");
	return write_sysctl("/proc/sys/net/ipv4/tcp_max_tw_buckets", plan->buckets);
}

static int tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
	return (struct sockaddr_in){
	        .sin_family = AF_INET,
	        .sin_port = htons(port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host),
	};
}

static bool begin_listening(struct side *side)
{
	uint16_t port = (uint16_t)(FIRST_PORT + side->number);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;
	side->to = loopback(0, port);
	side->listener = tcp();
	return (side->listener >= 0 &&
	        setsockopt(side->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	        bind(side->listener, (struct sockaddr *)&any, sizeof(any)) == 0 &&
	        listen(side->listener, ROUND) == 0) ||
	       complain("listen");
}

/* A socket that may have one port only: chosen by connect() out of its range, or by bind(). */
static int narrow(const struct side *side, bool bound)
{
	_cleanup_(lp_close_fd) int fd = tcp();
	uint32_t port = (bound ? BOUND_PORT : FULL_PORT) + side->number, range = port << 16 | port;
	struct sockaddr_in from = loopback(0, (uint16_t)port);
	int one = 1;
	if (fd < 0)
		return -1;
	if (bound) {
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
			return -1;
	} else if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) < 0) {
		return -1;
	}
	return lp_take_fd(fd);
}

static int connect_to(int fd, const struct sockaddr_in *to)
{
	return connect(fd, (const struct sockaddr *)to, sizeof(*to));
}

/* The connection that holds the one port, for as long as the process lives. */
static bool hold(struct side *side, bool bound)
{
	struct sockaddr_in to = side->to;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = narrow(side, bound);
	if (fd < 0 || connect_to(fd, &to) < 0 || accept(side->listener, NULL, NULL) < 0)
		return complain(bound ? "a bound port" : "a range of one port");
	side->done->opened++;
	return true;
}

static bool be_refused(struct side *side, bool bound)
{
	struct sockaddr_in to = side->to;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	_cleanup_(lp_close_fd) int fd = narrow(side, bound);
	if (fd < 0)
		return complain("a socket to be refused");
	side->done->opened++;
	if (connect_to(fd, &to) == 0 || errno != EADDRNOTAVAIL) {
		fprintf(stderr, "connections: a connect() that has no port was not refused\n");
		return false;
	}
	side->done->refused++;
	return true;
}

/* One connection; its ends close first in turn. */
static bool connect_once(struct side *side)
{
	uint64_t number = side->next++;
	side->to.sin_addr.s_addr =
	        htonl(INADDR_LOOPBACK + 0x10000 + (uint32_t)(number % side->plan->destinations));
	_cleanup_(lp_close_fd) int client = tcp();
	if (client < 0)
		return complain("socket");
	side->done->opened++;
	if (connect_to(client, &side->to) < 0) {
		side->done->refused += errno == EADDRNOTAVAIL;
		return errno == EADDRNOTAVAIL || complain("connect");
	}
	_cleanup_(lp_close_fd) int server = accept4(side->listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		return complain("accept");
	side->done->closed_first++;
	bool server_first = number & 1;
	char byte;
	(void)close(server_first ? lp_take_fd(server) : lp_take_fd(client));
	if (side->plan->orderly && recv(server_first ? client : server, &byte, 1, 0) != 0)
		return complain("an end that was not closed");
	return true;
}

static bool run_round(struct side *side)
{
	const unsigned each = side->plan->refused;
	for (int i = 0; i < ROUND; i++) {
		if (!connect_once(side))
			return false;
		if (each && side->next % each == 0 && !be_refused(side, side->next / each & 1))
			return false;
	}
	return true;
}

static uint64_t cpu_us(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static bool read_ms(int fd, int64_t *ret)
{
	return read(fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
}

static void stay_on(unsigned number)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

/* A child: for each number of milliseconds that it is told, runs so long and says so by a byte. */
static int work(struct side *side, int orders, int answers)
{
	int64_t ms;
	stay_on(side->number);
	bool good = begin_listening(side);
	if (good && side->plan->refused)
		good = hold(side, false) && hold(side, true);
	while (read_ms(orders, &ms)) {
		int64_t end_ns = lp_clock_ns() + ms * 1000000;
		while (good && lp_clock_ns() < end_ns)
			good = run_round(side);
		side->done->cpu_us = cpu_us();
		side->done->failed = !good;
		if (write(answers, &good, sizeof(good)) != (ssize_t)sizeof(good))
			break;
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct crew {
	const struct plan *plan;
	struct done *done; /* one a process, shared */
	int orders[MOST_PROCESSES];
	int answers; /* a byte of each */
};

static bool start_child(struct crew *crew, unsigned number, int answers)
{
	int orders[2];
	if (pipe2(orders, O_CLOEXEC) < 0)
		return complain("pipe");
	pid_t pid = fork();
	if (pid < 0)
		return complain("fork");
	if (pid == 0) {
		struct side side = {
		        .plan = crew->plan, .number = number, .done = &crew->done[number]};
		for (unsigned i = 0; i < number; i++)
			(void)close(crew->orders[i]);
		(void)close(orders[1]);
		_exit(work(&side, orders[0], answers));
	}
	(void)close(orders[0]);
	crew->orders[number] = orders[1];
	return true;
}

static bool start(struct crew *crew)
{
	int answers[2];
	crew->done = mmap(NULL, sizeof(*crew->done) * MOST_PROCESSES, PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew->done == MAP_FAILED || pipe2(answers, O_CLOEXEC) < 0)
		return complain("memory");
	for (unsigned i = 0; i < crew->plan->processes; i++)
		if (!start_child(crew, i, answers[1]))
			return false;
	(void)close(answers[1]);
	crew->answers = answers[0];
	return true;
}

static bool run_for(struct crew *crew, int64_t ms)
{
	struct done all = {0};
	int64_t begin = lp_clock_ns();
	for (unsigned i = 0; i < crew->plan->processes; i++)
		if (write(crew->orders[i], &ms, sizeof(ms)) != (ssize_t)sizeof(ms))
			return complain("a process that ended");
	for (unsigned i = 0; i < crew->plan->processes; i++) {
		bool good;
		if (read(crew->answers, &good, sizeof(good)) != (ssize_t)sizeof(good) || !good)
			return false;
	}
	int64_t wall_us = (lp_clock_ns() - begin) / 1000;
	for (unsigned i = 0; i < crew->plan->processes; i++) {
		all.opened += crew->done[i].opened;
		all.closed_first += crew->done[i].closed_first;
		all.refused += crew->done[i].refused;
		all.cpu_us += crew->done[i].cpu_us;
	}
	printf("%ju %ju %ju %ju %jd\n", (uintmax_t)all.opened, (uintmax_t)all.closed_first,
	       (uintmax_t)all.refused, (uintmax_t)all.cpu_us, (intmax_t)wall_us);
	return fflush(stdout) == 0;
}

static bool number(const char *text, long most, unsigned *ret)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || (*end && *end != '\n') || n < 1 || n > most) {
		fprintf(stderr, "connections: %s: not a number from 1 to %ld\n", text, most);
		return false;
	}
	*ret = (unsigned)n;
	return true;
}

static bool parse(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {
	        {"processes", required_argument, NULL, 'p'},
	        {"destinations", required_argument, NULL, 'd'},
	        {"refused", required_argument, NULL, 'r'},
	        {"buckets", required_argument, NULL, 'b'},
	        {"orderly", no_argument, NULL, 'o'},
	        {0},
	};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		bool good = false;
		if (c == 'p')
			good = number(optarg, MOST_PROCESSES, &plan->processes);
		else if (c == 'd')
			good = number(optarg, MOST_DESTINATIONS, &plan->destinations);
		else if (c == 'r')
			good = number(optarg, 1000000, &plan->refused);
		else if (c == 'b')
			good = (plan->buckets = optarg) != NULL;
		else if (c == 'o')
			good = plan->orderly = true;
		if (!good)
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct plan plan = {.processes = 1, .destinations = 199, .buckets = "32768"};
	struct crew crew = {.plan = &plan};
	char line[64];
	unsigned ms;
	if (!parse(argc, argv, &plan)) {
		fprintf(stderr, "usage: connections [--processes N] [--destinations N] "
		                "[--refused N] [--buckets N] [--orderly]\n");
		return 64;
	}
	if (!prepare(&plan) || !start(&crew))
		return EXIT_FAILURE;
	while (fgets(line, sizeof(line), stdin))
		if (!number(line, 3600000, &ms) || !run_for(&crew, ms))
			return EXIT_FAILURE;
	for (unsigned i = 0; i < plan.processes; i++)
		(void)close(crew.orders[i]);
	int good = EXIT_SUCCESS, status;
	while (wait(&status) > 0)
		good = status ? EXIT_FAILURE : good;
	return good;
}
