/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/plan.h"

#include <errno.h>
#include <math.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "forecast/setting.h"
#include "view/json_parts.h"
#include "view/style.h"

static const char *const roles[] = {
        [LP_PLAN_CLIENT] = "client", [LP_PLAN_SERVER] = "server", [LP_PLAN_ROUTER] = "router"};
static const char *const closers[] = {
        [LP_CLOSER_CLIENT] = "client", [LP_CLOSER_SERVER] = "server", [LP_CLOSER_BOTH] = "both"};

static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static json_t *count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* null: there is no bound. */
static json_t *rate(double n)
{
	return isfinite(n) ? lp_json_fraction(n) : json_null();
}

static json_t *wishes_object(const struct lp_plan_wishes *w)
{
	json_auto_t *object = json_pack("{s:f,s:f,s:I,s:I,s:s,s:s}", "requests", w->requests,
	                                "hold_s", w->hold_s, "sources", (json_int_t)w->sources,
	                                "destinations", (json_int_t)w->destinations, "role",
	                                roles[w->role], "closer", closers[w->closer]);
	if (!object || (w->rate.known && set(object, "rate", lp_json_fraction(w->rate.n)) < 0))
		return NULL;
	if (w->role == LP_PLAN_ROUTER &&
	    (set(object, "translated", count(w->translated)) < 0 ||
	     set(object, "nat_ports",
	         json_pack("[I,I]", (json_int_t)w->nat_low, (json_int_t)w->nat_high)) < 0))
		return NULL;
	if ((w->burst.known && set(object, "burst", count(w->burst.n)) < 0) ||
	    (w->bind_first && set(object, "bind_first", json_true()) < 0) ||
	    (w->loopback && set(object, "loopback", json_true()) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *need_object(const struct lp_plan *plan, enum lp_plan_limit limit)
{
	const struct lp_plan_need *need = &plan->needs[limit];
	json_auto_t *object = json_pack("{s:s,s:o,s:o,s:o}", "kind", lp_plan_limit_name(limit),
	                                "pools", count(need->pools), "free", count(need->has),
	                                "highest", rate(need->highest));
	if (!object)
		return NULL;
	if (limit == LP_PLAN_FILES && set(object, "of", json_string("machine")) < 0)
		return NULL;
	if (plan->wishes.rate.known && (set(object, "needed", count(need->needed)) < 0 ||
	                                set(object, "carries", json_boolean(need->carries)) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *needs_list(const struct lp_plan *plan)
{
	json_auto_t *list = json_array();
	for (int i = 0; i < LP_PLAN_LIMITS; i++)
		if (plan->needs[i].judged &&
		    json_array_append_new(list, need_object(plan, (enum lp_plan_limit)i)) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *change_object(const struct lp_plan *plan, const struct lp_plan_change *change)
{
	json_auto_t *object = json_pack(
	        "{s:s,s:s,s:o,s:o,s:b,s:o}", "limit", lp_plan_limit_name(change->limit), "change",
	        lp_plan_knob_name(change->knob), "from", count(change->from), "to",
	        count(change->to), "carries_all", change->all, "highest", rate(change->highest));
	uint32_t low, high;
	if (!object)
		return NULL;
	if (change->knob == LP_KNOB_RANGE &&
	    lp_plan_range_for(&plan->machine, change->to, &low, &high) &&
	    set(object, "range", json_pack("[I,I]", (json_int_t)low, (json_int_t)high)) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *changes_list(const struct lp_plan *plan)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < plan->n_changes; i++)
		if (json_array_append_new(list, change_object(plan, &plan->changes[i])) < 0)
			return NULL;
	return json_incref(list);
}

/* "8080,9000-9010", as the sysctl has it; nothing where there are none. */
static int set_reserved(json_t *object, const struct lp_port_map *map)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	size_t length = 0;
	if (!lp_port_count(map, 0, LP_PORTS - 1))
		return 0;
	FILE *out = open_memstream(&text, &length);
	if (!out)
		return -ENOMEM;
	const char *comma = "";
	for (uint32_t low = 0; low < LP_PORTS; low++) {
		uint32_t high = low;
		if (!lp_port_get(map, low))
			continue;
		while (high + 1 < LP_PORTS && lp_port_get(map, high + 1))
			high++;
		(void)fprintf(out, low < high ? "%s%u-%u" : "%s%u", comma, low, high);
		comma = ",";
		low = high;
	}
	if (fclose(out) != 0)
		return -ENOMEM;
	return set(object, "net.ipv4.ip_local_reserved_ports", json_string(text));
}

/* By the names that --machine takes. */
static json_t *machine_object(const struct lp_plan_machine *given)
{
	struct lp_plan_machine m = *given;
	json_auto_t *object = json_object();
	for (const struct lp_plan_setting *setting = lp_plan_settings; setting->name; setting++) {
		const struct lp_figure *figure = lp_plan_setting_figure(setting, &m);
		if (figure->known && set(object, setting->name, count(figure->n)) < 0)
			return NULL;
	}
	if ((m.range_low.known &&
	     set(object, "net.ipv4.ip_local_port_range",
	         json_sprintf("%u %u", (unsigned)m.range_low.n, (unsigned)m.range_high.n)) < 0) ||
	    set_reserved(object, &given->reserved) < 0 ||
	    (m.ports.known && set(object, "ports", count(m.ports.n)) < 0) ||
	    (m.tick_us.known && m.tick_us.n &&
	     set(object, "hz", count(1000000 / m.tick_us.n)) < 0) ||
	    set(object, "tracks", json_boolean(m.tracks)) < 0)
		return NULL;
	return json_incref(object);
}

/* What there is in steady state; nothing where the rate has no bound. */
static int set_steady(json_t *object, const struct lp_plan *plan)
{
	if (!isfinite(plan->opens))
		return 0;
	if (set(object, "opens", lp_json_fraction(plan->opens)) < 0 ||
	    set(object, "live", lp_json_fraction(plan->live)) < 0 ||
	    set(object, "time_wait", lp_json_fraction(plan->time_wait)) < 0 ||
	    set(object, "conntrack_entries", lp_json_fraction(plan->entries)) < 0 ||
	    set(object, "memory", count((uint64_t)plan->memory)) < 0 ||
	    set(object, "port_stays_s", lp_json_fraction(plan->port_stays_s)) < 0 ||
	    set(object, "time_wait_cut_short", json_boolean(plan->cut_short)) < 0)
		return -ENOMEM;
	if (plan->search_us > 0 && set(object, "search_us", lp_json_fraction(plan->search_us)) < 0)
		return -ENOMEM;
	if (isfinite(plan->full_in_s) &&
	    set(object, "full_in_s", lp_json_fraction(plan->full_in_s)) < 0)
		return -ENOMEM;
	return 0;
}

static json_t *plan_object(const struct lp_plan *plan)
{
	json_auto_t *object =
	        json_pack("{s:i,s:o}", "schema", 1, "wishes", wishes_object(&plan->wishes));
	if (!object ||
	    (plan->wishes.rate.known && !plan->unknown &&
	     set(object, "carries", json_boolean(plan->carries)) < 0) ||
	    (!plan->unknown && set(object, "highest", rate(plan->highest)) < 0) ||
	    set(object, "first",
	        plan->first == LP_PLAN_LIMITS ? json_null()
	                                      : json_string(lp_plan_limit_name(plan->first))) < 0 ||
	    set_steady(object, plan) < 0 || set(object, "needs", needs_list(plan)) < 0 ||
	    set(object, "changes", changes_list(plan)) < 0 ||
	    set(object, "machine", machine_object(&plan->machine)) < 0)
		return NULL;
	return json_incref(object);
}

int lp_plan_view_json(const struct lp_plan *plan, FILE *out)
{
	enum { DIGITS = 15 };
	json_auto_t *object = plan_object(plan);
	if (!object)
		return -ENOMEM;
	errno = 0;
	if (json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) != 0)
		return lp_errno();
	int r = lp_put(out, "\n");
	if (r == 0 && fflush(out) != 0)
		r = lp_errno();
	return r;
}
