/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* liblastport: plans. */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/machine_file.h"
#include "api/options.h"
#include "api/take.h"
#include "base/cleanup.h"
#include "kernel/kernel.h"
#include "lastport/lastport.h"
#include "view/plan.h"

struct lastport_plan {
	struct lp_plan plan;
};

static bool within(double n, double low, double high)
{
	return n >= low && n <= high;
}

static int take_wishes(const struct lastport_plan_wishes *w, struct lp_plan_wishes *ret,
                       struct lp_error *err)
{
	static const double most = 1e9, many = 1e6;
	const uint32_t last = LP_PLAN_LAST_PORT;
	if (!within(w->rate, 0, most) || !within(w->requests, 1, most) ||
	    !within(w->hold_s, 0, most) || !within(w->sources, 1, many) ||
	    !within(w->destinations, 1, many) || !within(w->translated, 1, many) ||
	    w->nat_low < 1 || w->nat_low > w->nat_high || w->nat_high > last ||
	    !within(w->role, LASTPORT_CLIENT, LASTPORT_ROUTER) ||
	    !within(w->closer, LASTPORT_CLOSER_CLIENT, LASTPORT_CLOSER_BOTH))
		return lp_fail(err, EINVAL, "a wish is out of its range");
	*ret = (struct lp_plan_wishes){
	        .rate = {.n = w->rate, .known = w->rate > 0},
	        .requests = w->requests,
	        .hold_s = w->hold_s,
	        .sources = w->sources,
	        .destinations = w->destinations,
	        .translated = w->translated,
	        .nat_low = w->nat_low,
	        .nat_high = w->nat_high,
	        .burst = {.n = w->burst, .known = w->burst > 0},
	        .role = (enum lp_plan_role)w->role,
	        .closer = (enum lp_plan_closer)w->closer,
	        .bind_first = w->bind_first,
	        .loopback = w->loopback,
	};
	return 0;
}

static const struct lp_process *own_process(const struct lp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_processes; i++)
		if (snapshot->processes[i].pid == getpid())
			return &snapshot->processes[i];
	return NULL;
}

/* One namespace of the running machine. */
static int look(const char *netns, struct lp_plan_machine *ret, struct lp_error *err)
{
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = NULL;
	const struct lp_look_options options = {.netns = netns ? netns : "self"};
	if (netns && !strcmp(netns, "all"))
		return lp_fail(err, EINVAL, "a plan is for one namespace, not for all");
	int r = lp_kernel_open(&kernel, err);
	if (r == 0)
		r = lp_look(&kernel, &options, &snapshot, err);
	if (r < 0)
		return r;
	if (!snapshot || snapshot->n_netns == 0)
		return lp_fail(err, ENOENT, "no namespace could be read");
	*ret = lp_plan_machine_of(snapshot, &snapshot->netns[0], own_process(snapshot));
	return 0;
}

static int make(const struct lastport_plan_wishes *given, struct lastport_plan **ret,
                struct lp_error *err)
{
	struct lastport_plan_wishes w;
	struct lp_plan_wishes wishes;
	struct lp_plan_machine machine;
	if (!lp_take_struct(&w, sizeof(w), given))
		return lp_fail(err, EINVAL, "wishes are of a newer version of the library");
	int r = take_wishes(&w, &wishes, err);
	if (r == 0)
		r = w.machine_file ? lp_machine_file_read(w.machine_file, w.netns, &machine, err)
		                   : look(w.netns, &machine, err);
	if (r < 0)
		return r;
	struct lastport_plan *plan = malloc(sizeof(*plan));
	if (!plan)
		return lp_fail(err, ENOMEM, "out of memory");
	lp_plan_make(&wishes, &machine, &plan->plan);
	*ret = plan;
	return 0;
}

int lastport_plan_make(const struct lastport_plan_wishes *wishes, struct lastport_plan **ret,
                       char *message, size_t message_size)
{
	struct lp_error err = {0};
	int r = make(wishes, ret, &err);
	if (r < 0 && message && message_size)
		(void)snprintf(message, message_size, "%s", *err.text ? err.text : strerror(-r));
	return r;
}

void lastport_plan_free(struct lastport_plan *plan)
{
	free(plan);
}

bool lastport_plan_known(const struct lastport_plan *plan)
{
	return !plan->plan.unknown;
}

bool lastport_plan_carries(const struct lastport_plan *plan)
{
	return plan->plan.carries;
}

double lastport_plan_highest(const struct lastport_plan *plan)
{
	return plan->plan.highest;
}

int lastport_plan_write_json(const struct lastport_plan *plan, FILE *out)
{
	return lp_plan_view_json(&plan->plan, out);
}

int lastport_plan_write_text(const struct lastport_plan *plan,
                             const struct lastport_text_options *options, FILE *out)
{
	struct lp_text_options text;
	int r = lp_options_text(options, &text);
	return r < 0 ? r : lp_plan_view_text(&plan->plan, &text, out);
}
