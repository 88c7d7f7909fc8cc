/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/watch.h"

#include <errno.h>

#include "base/clock.h"

enum { LOOK_EVERY_MS = 50 };

struct lab_watch lab_watch_begin(const struct lab_ns *ns, int fd)
{
	return (struct lab_watch){.ns = ns,
	                          .local = lab_addr_local(fd),
	                          .remote = lab_addr_remote(fd),
	                          .since_ns = lp_clock_ns()};
}

/* How many are still there, or -errno. */
static int look(const struct lab_trial *trial, struct lab_watch *watches, size_t n)
{
	int there = 0;
	for (struct lab_watch *w = watches; w < watches + n; w++) {
		if (w->gone)
			continue;
		int state = lab_tuple_state(w->ns, &w->local, &w->remote);
		if (state < 0 && state != -ENOENT)
			return state;
		w->gone = state == -ENOENT;
		w->lasted_s = lab_seconds_since(trial, w->since_ns);
		there += !w->gone;
	}
	return there;
}

int lab_watch_wait(const struct lab_trial *trial, struct lab_watch *watches, size_t n,
                   unsigned seconds)
{
	/* The kernel tells of no end of a TIME_WAIT, so it is asked. */
	int64_t deadline = lp_clock_ns() + seconds * INT64_C(1000000000);
	int r;
	while ((r = look(trial, watches, n)) > 0 && lp_clock_ns() < deadline)
		lp_clock_sleep_ms(LOOK_EVERY_MS);
	return r < 0 ? r : 0;
}
