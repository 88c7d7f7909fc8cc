/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/pace.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"

struct lab_pace lab_pace(double per_s)
{
	return (struct lab_pace){.start_ns = lp_clock_ns(), .per_s = per_s};
}

int64_t lab_pace_wait(struct lab_pace *pace)
{
	int64_t at = pace->start_ns + (int64_t)((double)pace->n * 1e9 / pace->per_s);
	struct timespec when = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
	pace->n++;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
		;
	return lp_clock_ns() - at;
}

static void tell(const struct lab_steady *steady)
{
	(void)eventfd_write(steady->tell_fd, 1);
}

static void *run(void *argument)
{
	struct lab_steady *s = argument;
	_cleanup_(lab_leave) int home = lab_enter(s->how.ns);
	struct lab_how inside = s->how;
	inside.ns = NULL;
	struct lab_pace pace = lab_pace(s->per_s);
	s->started_ns = pace.start_ns;
	int64_t stop_ns = pace.start_ns + (int64_t)(s->seconds * 1e9);
	if (home < 0)
		s->count.error = -home;
	while (!s->count.error && s->count.n < s->most && !atomic_load(&s->stop)) {
		int64_t late = lab_pace_wait(&pace);
		if (late > s->late_ns)
			s->late_ns = late;
		if (lp_clock_ns() > stop_ns)
			break;
		struct lab_count one = lab_open_and_end(&inside, &s->to, s->listener, s->end, 1);
		s->count.n += one.n;
		s->count.error = one.error;
		if (s->tell_at && s->count.n == s->tell_at)
			tell(s);
	}
	s->ended_ns = lp_clock_ns();
	tell(s);
	return NULL;
}

int lab_steady_start(struct lab_steady *steady)
{
	steady->count = (struct lab_count){0};
	steady->late_ns = 0;
	atomic_store(&steady->stop, false);
	steady->tell_fd = eventfd(0, EFD_CLOEXEC);
	if (steady->tell_fd < 0)
		return lp_errno();
	int r = pthread_create(&steady->thread, NULL, run, steady);
	if (r != 0) {
		(void)close(steady->tell_fd);
		return -r;
	}
	steady->running = true;
	return 0;
}

int lab_steady_told(const struct lab_steady *steady)
{
	struct pollfd wait = {.fd = steady->tell_fd, .events = POLLIN};
	int ready = poll(&wait, 1, (int)(steady->seconds * 1000) + 1000);
	return ready < 0 ? lp_errno() : ready == 0 ? -ETIMEDOUT : 0;
}

void lab_steady_wait(struct lab_steady *steady)
{
	if (!steady->running)
		return;
	(void)pthread_join(steady->thread, NULL);
	(void)close(steady->tell_fd);
	steady->running = false;
}

void lab_steady_stop(struct lab_steady *steady)
{
	atomic_store(&steady->stop, true);
	lab_steady_wait(steady);
}
