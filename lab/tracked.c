/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/tracked.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "lab/nft.h"

enum { BACKLOG = 4096, PORTS_EACH = 30000, PORT = 80 };

int lab_tracked_make(struct lab_trial *trial, struct lab_tracked *ret)
{
	struct lab_tracked made = LAB_TRACKED_NONE;
	int r = lab_trial_ns(trial, &made.ns);
	if (r == 0)
		r = lab_nft_track(&made.ns, lab_error(trial));
	if (r < 0) {
		lab_tracked_done(&made);
		return r;
	}
	struct lab_addr any = lab_addr("127.0.0.1", PORT);
	struct lab_how how = {.ns = &made.ns, .from = &any};
	made.listener = lab_listen(&how, BACKLOG);
	if (made.listener < 0) {
		r = made.listener;
		lab_tracked_done(&made);
		return lp_fail(lab_error(trial), -r, "listen: %s", strerror(-r));
	}
	made.to = lab_addr_local(made.listener);
	*ret = made;
	return 0;
}

void lab_tracked_done(struct lab_tracked *tracked)
{
	lp_close_fd(&tracked->listener);
	tracked->listener = -1;
	lab_ns_done(&tracked->ns);
}

int lab_tracked_fill(struct lab_trial *trial, const struct lab_tracked *tracked, uint32_t leave,
                     bool short_lived)
{
	struct lab_conntrack_fill fill = {.from = lab_addr("10.0.0.1", 2000),
	                                  .to = lab_addr("10.1.0.1", 443),
	                                  .ports = PORTS_EACH,
	                                  .short_lived = short_lived};
	return lab_conntrack_fill_up(&tracked->ns, &fill, leave, lab_error(trial));
}

static unsigned count_standing(const struct lab_fds *fds)
{
	unsigned standing = 0;
	for (size_t i = 0; i < fds->n; i++)
		standing += lab_tcp_state(fds->items[i]) == TCP_ESTABLISHED;
	return standing;
}

unsigned lab_tracked_connect(const struct lab_tracked *tracked, unsigned n, int wait_ms)
{
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_how how = {.ns = &tracked->ns, .options = LAB_NONBLOCK};
	(void)lab_connect_many(&how, &tracked->to, n, &fds);
	int64_t deadline = lp_clock_ns() + wait_ms * INT64_C(1000000);
	unsigned standing = count_standing(&fds);
	while (standing < n && lp_clock_ns() < deadline) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		standing = count_standing(&fds);
	}
	return standing;
}
