/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/cgroup.h"
#include "view/json_parts.h"

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static int set_count(json_t *object, const char *key, uint64_t n)
{
	return set_new(object, key, json_integer((json_int_t)n));
}

/* What is not told is left out. */
static int set_text(json_t *object, const char *key, const char *text)
{
	return *text ? set_new(object, key, lp_json_text(text)) : 0;
}

static int set_figure(json_t *object, const char *key, struct lp_figure figure)
{
	return figure.known ? set_count(object, key, figure.n) : 0;
}

json_t *lp_json_states(const uint32_t states[LP_STATES])
{
	json_auto_t *object = json_object();
	for (int state = 1; state < LP_STATES; state++)
		if (states[state] &&
		    set_count(object, lp_state_name((enum lp_tcp_state)state), states[state]) < 0)
			return NULL;
	return json_incref(object);
}

/* A cgroup that is gone by now has a number only. */
static int set_cgroup(json_t *object, const struct lp_owner *owner)
{
	struct lp_cgroup_names names;
	if (!owner->cgroup)
		return owner->cgroup_id ? set_count(object, "cgroup_id", owner->cgroup_id) : 0;
	lp_cgroup_names(owner->cgroup, &names);
	if (set_text(object, "cgroup", owner->cgroup) < 0 ||
	    set_text(object, "unit", names.unit) < 0 ||
	    set_text(object, "container", names.container) < 0 ||
	    set_text(object, "runtime", names.runtime) < 0)
		return -1;
	return set_text(object, "pod", names.pod);
}

static json_t *owner_object(const struct lp_owner *owner)
{
	json_auto_t *object = json_object();
	if ((owner->processes == 1 && set_count(object, "pid", (uint64_t)owner->pid) < 0) ||
	    (owner->processes > 1 && set_count(object, "processes", owner->processes) < 0) ||
	    (owner->ended && set_new(object, "ended", json_true()) < 0) ||
	    set_text(object, "command", owner->command) < 0 || set_cgroup(object, owner) < 0 ||
	    (owner->sharing && set_count(object, "shared_with", owner->sharing) < 0) ||
	    set_new(object, "states", lp_json_states(owner->states)) < 0 ||
	    set_figure(object, "opened", owner->opened) < 0 ||
	    set_figure(object, "closed_first", owner->closed_first) < 0)
		return NULL;
	return json_incref(object);
}

json_t *lp_json_owners(const struct lp_pool_owners *owners)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < owners->n; i++)
		if (json_array_append_new(list, owner_object(&owners->items[i])) < 0)
			return NULL;
	return json_incref(list);
}

json_t *lp_json_unowned(const struct lp_pool_owners *owners)
{
	json_auto_t *list = json_array();
	for (int reason = 0; reason < LP_UNOWNED_REASONS; reason++) {
		if (!owners->unowned[reason])
			continue;
		json_t *object = json_pack("{s:I,s:s,s:s}", "connections",
		                           (json_int_t)owners->unowned[reason], "what",
		                           lp_unowned_what((enum lp_unowned)reason), "why",
		                           lp_unowned_why((enum lp_unowned)reason));
		if (json_array_append_new(list, object) < 0)
			return NULL;
	}
	return json_incref(list);
}
