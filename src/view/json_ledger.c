/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the ledger remembers, as JSON schema 1 in one line. */

#include <errno.h>

#include "base/error.h"
#include "view/json_parts.h"
#include "view/ledger.h"

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static int set_count(json_t *object, const char *key, uint64_t n)
{
	return set_new(object, key, json_integer((json_int_t)n));
}

static json_t *netns_object(const struct lp_ledger_facts *facts, struct lp_netns_id id)
{
	const char *name = lp_ledger_netns_name(facts, id);
	return json_pack("{s:I,s:o}", "inode", (json_int_t)id.inode, "name",
	                 name ? lp_json_text(name) : json_null());
}

static json_t *tables(const struct lp_ledger_facts *facts)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < LP_LEDGER_TABLES; i++) {
		const struct lp_ledger_table *table = &facts->tables[i];
		json_t *object = json_pack("{s:s,s:I,s:I,s:I}", "name", table->name, "used",
		                           (json_int_t)table->used, "size", (json_int_t)table->size,
		                           "lost", (json_int_t)table->lost);
		if (json_array_append_new(list, object) < 0)
			return NULL;
	}
	return json_incref(list);
}

static int set_party(json_t *object, const struct lp_ledger_facts *facts,
                     const struct lp_ledger_party *party)
{
	if (set_new(object, "netns", netns_object(facts, party->netns)) < 0 ||
	    set_count(object, "pid", (uint64_t)party->pid) < 0 ||
	    set_new(object, "command", lp_json_text(party->command)) < 0)
		return -1;
	return set_count(object, "cgroup_id", party->cgroup_id);
}

static int set_remote(json_t *object, const struct lp_address *remote, uint16_t port)
{
	char text[LP_ADDRESS_TEXT];
	if (set_new(object, "remote", json_string(lp_address_text(remote, text))) < 0)
		return -1;
	return set_count(object, "remote_port", port);
}

static json_t *refusal_object(const struct lp_ledger_facts *facts,
                              const struct lp_ledger_refusal *refusal)
{
	json_auto_t *object = json_object();
	if (set_party(object, facts, &refusal->party) < 0 ||
	    set_remote(object, &refusal->remote, refusal->port) < 0 ||
	    set_count(object, "refused", refusal->refused) < 0 ||
	    set_new(object, "why", json_string(lp_refusal_name(refusal->why))) < 0 ||
	    set_new(object, "first", lp_json_time(refusal->first_ms)) < 0 ||
	    set_new(object, "last", lp_json_time(refusal->last_ms)) < 0)
		return NULL;
	return json_incref(object);
}

/* [[below so many µs, connects],…]; null: longer than all. */
static json_t *histogram(const uint64_t times[LP_SEARCH_TIMES])
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < LP_SEARCH_TIMES; i++) {
		if (!times[i])
			continue;
		json_t *below = i + 1 < LP_SEARCH_TIMES
		                        ? json_real((double)(UINT64_C(1) << (i + 10)) / 1000)
		                        : json_null();
		json_t *pair = json_pack("[o,I]", below, (json_int_t)times[i]);
		if (json_array_append_new(list, pair) < 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *search_object(const struct lp_ledger_facts *facts,
                             const struct lp_ledger_search_times *search)
{
	json_auto_t *object = json_object();
	uint64_t measured = lp_search_count(search->times);
	if (set_new(object, "netns", netns_object(facts, search->netns)) < 0 ||
	    set_remote(object, &search->remote, search->port) < 0 ||
	    set_count(object, "connects", measured + search->unmeasured) < 0 ||
	    set_count(object, "unmeasured", search->unmeasured) < 0 ||
	    set_count(object, "total_us", search->total_ns / 1000) < 0 ||
	    set_new(object, "below_us", histogram(search->times)) < 0 ||
	    set_new(object, "recent_below_us", histogram(search->recent)) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *actor_object(const struct lp_ledger_facts *facts,
                            const struct lp_ledger_actor *actor)
{
	json_auto_t *object = json_object();
	if (set_party(object, facts, &actor->party) < 0 ||
	    set_count(object, "opened", actor->opened) < 0 ||
	    set_count(object, "closed_first", actor->closed_first) < 0 ||
	    set_count(object, "refused", actor->refused) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *refusals(const struct lp_ledger_facts *facts)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < facts->n_refusals; i++)
		if (json_array_append_new(list, refusal_object(facts, &facts->refusals[i])) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *searches(const struct lp_ledger_facts *facts)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < facts->n_searches; i++)
		if (json_array_append_new(list, search_object(facts, &facts->searches[i])) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *actors(const struct lp_ledger_facts *facts)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < facts->n_actors; i++)
		if (json_array_append_new(list, actor_object(facts, &facts->actors[i])) < 0)
			return NULL;
	return json_incref(list);
}

static json_t *totals(const struct lp_ledger_facts *facts)
{
	json_auto_t *object = json_object();
	if (set_count(object, "opened", facts->opened) < 0 ||
	    set_count(object, "closed_first", facts->closed_first) < 0 ||
	    set_count(object, "closed_first_unowned", facts->unowned) < 0 ||
	    set_count(object, "refused", facts->refused) < 0 ||
	    set_count(object, "lost_open", facts->lost_open) < 0 ||
	    set_count(object, "lost_time_wait", facts->lost_time_wait) < 0 ||
	    (facts->missed.known && set_count(object, "missed", facts->missed.n) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *document(const struct lp_ledger_facts *facts)
{
	json_auto_t *object = json_object();
	if (set_count(object, "schema", 1) < 0 ||
	    set_new(object, "since", lp_json_time(facts->since_ms)) < 0 ||
	    set_new(object, "maps", tables(facts)) < 0 ||
	    set_new(object, "totals", totals(facts)) < 0 ||
	    set_new(object, "refused", refusals(facts)) < 0 ||
	    set_new(object, "search", searches(facts)) < 0 ||
	    set_new(object, "owners", actors(facts)) < 0)
		return NULL;
	return json_incref(object);
}

int lp_view_ledger_json(const struct lp_ledger_facts *facts, FILE *out)
{
	enum { DIGITS = 15 };
	json_auto_t *object = document(facts);
	if (!object)
		return -ENOMEM;
	errno = 0;
	bool written = json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) == 0 &&
	               fputc('\n', out) != EOF && fflush(out) == 0;
	return written ? 0 : lp_errno();
}
