/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs a command once, its output thrown away, and prints what it took: nanoseconds by the clock,
 * microseconds of processor, peak resident KiB (of the largest process below it), wait status.
 * Small on purpose: a child begins with the resident size of the program that forks it, which in
 * an interpreter would hide what is measured.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static void run(char **command)
{
	int null = open("/dev/null", O_RDWR);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0)
		(void)execvp(command[0], command);
	fprintf(stderr, "measure: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

static int64_t microseconds(struct timeval time)
{
	return time.tv_sec * INT64_C(1000000) + time.tv_usec;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND [ARGUMENT...]\n");
		return 64;
	}
	int status;
	struct rusage usage;
	int64_t begin_ns = lp_clock_ns();
	pid_t pid = fork();
	if (pid == 0)
		run(argv + 1);
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
		fprintf(stderr, "measure: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	int64_t took_ns = lp_clock_ns() - begin_ns;
	int64_t busy_us = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
	printf("%" PRId64 " %" PRId64 " %ld %d\n", took_ns, busy_us, usage.ru_maxrss, status);
	return EXIT_SUCCESS;
}
