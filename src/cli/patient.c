/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/patient.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

struct patient {
	int fd, stop;
	int64_t until; /* when patience ends; 0: not told to stop */
};

enum { SECOND_NS = 1000000000, MS_NS = 1000000 };

/* Until the reader takes some. 0, or -1 with errno. */
static int wait_for_reader(struct patient *patient)
{
	struct pollfd both[] = {{.fd = patient->fd, .events = POLLOUT},
	                        {.fd = patient->stop, .events = POLLIN}};
	for (;;) {
		int64_t left = patient->until ? patient->until - lp_clock_ns() : 0;
		both[1].fd = patient->until ? -1 : patient->stop;
		int n = poll(both, 2,
		             !patient->until ? -1
		             : left > 0      ? (int)(left / MS_NS) + 1
		                             : 0);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0 && both[0].revents)
			return 0;
		if (n > 0 && both[1].revents)
			patient->until = lp_clock_ns() + SECOND_NS;
		if (n == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

static ssize_t write_patiently(void *cookie, const char *bytes, size_t size)
{
	struct patient *patient = cookie;
	size_t written = 0;
	while (written < size) {
		/* for so much a pipe that takes any has room */
		size_t most = size - written < PIPE_BUF ? size - written : PIPE_BUF;
		if (wait_for_reader(patient) < 0)
			break;
		ssize_t n = write(patient->fd, bytes + written, most);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n <= 0)
			continue;
		written += (size_t)n;
		if (patient->until) /* it does read, if slowly */
			patient->until = lp_clock_ns() + SECOND_NS;
	}
	return (ssize_t)written;
}

static int close_patient(void *cookie)
{
	free(cookie);
	return 0;
}

FILE *patient_open(int fd, int stop)
{
	static const cookie_io_functions_t functions = {.write = write_patiently,
	                                                .close = close_patient};
	struct patient *patient = malloc(sizeof(*patient));
	if (!patient)
		return NULL;
	*patient = (struct patient){.fd = fd, .stop = stop};
	FILE *stream = fopencookie(patient, "w", functions);
	if (!stream)
		free(patient);
	return stream;
}
