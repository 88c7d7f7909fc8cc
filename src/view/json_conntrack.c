/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view/json_parts.h"

#include <errno.h>

#include "snapshot/drops.h"
#include "snapshot/nat.h"

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static int set_count(json_t *object, const char *key, uint64_t n)
{
	return set_new(object, key, json_integer((json_int_t)n));
}

static json_t *counters_object(const struct lp_netns *netns)
{
	json_auto_t *object = json_object();
	struct lp_conntrack_counters counters = netns->conntrack_counters;
	for (size_t i = 0; i < LP_CONNTRACK_COUNTERS; i++) {
		const struct lp_conntrack_counter *counter = &lp_conntrack_counter_list[i];
		struct lp_figure n = *lp_conntrack_figure(&counters, counter);
		if (n.known && set_count(object, counter->name, n.n) < 0)
			return NULL;
	}
	return json_incref(object);
}

static json_t *rates_object(const struct lp_netns *netns, double apart_s)
{
	json_auto_t *object = json_object();
	struct lp_conntrack_counters growth = netns->conntrack_growth;
	for (size_t i = 0; i < LP_CONNTRACK_COUNTERS; i++) {
		const struct lp_conntrack_counter *counter = &lp_conntrack_counter_list[i];
		struct lp_figure n = *lp_conntrack_figure(&growth, counter);
		if (n.known &&
		    set_new(object, counter->name, lp_json_fraction((double)n.n / apart_s)) < 0)
			return NULL;
	}
	return json_incref(object);
}

static json_t *protocols_object(const struct lp_conntrack_detail *detail)
{
	json_auto_t *object = json_object();
	for (int i = 0; i < LP_CT_PROTOCOLS; i++)
		if (detail->protocols[i] &&
		    set_count(object, lp_conntrack_protocol_name((enum lp_conntrack_protocol)i),
		              detail->protocols[i]) < 0)
			return NULL;
	return json_incref(object);
}

static json_t *states_object(const struct lp_conntrack_detail *detail)
{
	json_auto_t *object = json_object();
	for (unsigned i = 0; i < LP_CT_STATES; i++)
		if (detail->states[i] &&
		    set_count(object, lp_conntrack_state_name(i), detail->states[i]) < 0)
			return NULL;
	return json_incref(object);
}

static json_t *drain_list(const struct lp_conntrack_detail *detail)
{
	json_auto_t *list = json_array();
	for (int i = 0; i < LP_CT_DRAIN_POINTS; i++) {
		json_t *point = json_pack("[i,I]", (i + 1) * LP_CT_DRAIN_STEP_S,
		                          (json_int_t)detail->drain[i]);
		if (json_array_append_new(list, point) < 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *talker_object(const struct lp_conntrack_talker *talker)
{
	char text[LP_ADDRESS_TEXT];
	json_auto_t *object =
	        talker->address.family
	                ? json_pack("{s:s}", "address", lp_address_text(&talker->address, text))
	                : json_pack("{s:s,s:i}", "protocol",
	                            lp_conntrack_protocol_name(talker->protocol), "port",
	                            talker->port);
	if (set_count(object, "entries", talker->entries) < 0 ||
	    (talker->missed && set_count(object, "at_most_more", talker->missed) < 0))
		return NULL;
	return json_incref(object);
}

static json_t *talker_list(const struct lp_conntrack_talkers *talkers)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < talkers->n; i++)
		if (json_array_append_new(list, talker_object(&talkers->items[i])) < 0)
			return NULL;
	return json_incref(list);
}

static int set_detail(json_t *object, const struct lp_conntrack_detail *detail)
{
	json_t *talkers =
	        json_pack("{s:o,s:o,s:o}", "sources", talker_list(&detail->sources), "destinations",
	                  talker_list(&detail->destinations), "ports", talker_list(&detail->ports));
	if (set_new(object, "talkers", talkers) < 0 ||
	    set_count(object, "assured", detail->assured) < 0 ||
	    set_count(object, "unreplied", detail->unreplied) < 0 ||
	    set_count(object, "source_nat", detail->translated) < 0 ||
	    set_new(object, "protocols", protocols_object(detail)) < 0 ||
	    set_new(object, "states", states_object(detail)) < 0)
		return -ENOMEM;
	return detail->states[LP_CT_TIME_WAIT] ? set_new(object, "drain", drain_list(detail)) : 0;
}

/* Packets by what they were dropped for; a second where they are a growth. */
static int set_drops(json_t *object, const char *key, const struct lp_snapshot *snapshot,
                     const struct lp_netns *netns, bool growth)
{
	struct lp_drops drops;
	if (!lp_drops_of(snapshot, netns, growth, &drops))
		return 0;
	json_auto_t *causes = json_object();
	for (int i = 0; i < LP_DROP_CAUSES; i++) {
		uint64_t n = drops.packets[i];
		if (n && set_new(causes, lp_drop_names[i].name,
		                 growth ? lp_json_fraction((double)n / snapshot->apart_s)
		                        : json_integer((json_int_t)n)) < 0)
			return -ENOMEM;
	}
	return set_new(object, key, json_incref(causes));
}

int lp_json_conntrack(json_t *object, const struct lp_snapshot *snapshot,
                      const struct lp_limit *limit)
{
	const struct lp_netns *netns = &snapshot->netns[limit->netns];
	int r = set_count(object, "entries", netns->conntrack_entries.n);
	if (r == 0 && netns->conntrack_unassured.known)
		r = set_count(object, "not_assured", netns->conntrack_unassured.n);
	if (r == 0 && netns->conntrack_buckets.known)
		r = set_count(object, "buckets", netns->conntrack_buckets.n);
	if (r == 0)
		r = set_new(object, "counters", counters_object(netns));
	if (r == 0 && snapshot->apart_s > 0)
		r = set_new(object, "counters_per_s", rates_object(netns, snapshot->apart_s));
	if (r == 0)
		r = set_drops(object, "drops", snapshot, netns, false);
	if (r == 0 && snapshot->apart_s > 0)
		r = set_drops(object, "drops_per_s", snapshot, netns, true);
	if (r == 0 && netns->conntrack)
		r = set_detail(object, netns->conntrack);
	return r;
}

static json_t *client_object(const struct lp_nat_client *client)
{
	char text[LP_ADDRESS_TEXT];
	json_auto_t *object =
	        json_pack("{s:s}", "address", lp_address_text(&client->address, text));
	if (set_count(object, "ports", client->ports) < 0 ||
	    (client->missed && set_count(object, "at_most_less", client->missed) < 0))
		return NULL;
	return json_incref(object);
}

int lp_json_nat(json_t *object, const struct lp_nat_pool *pool)
{
	struct lp_nat_client clients[LP_NAT_CLIENTS];
	size_t n = lp_nat_clients(pool, clients);
	json_t *list = json_array();
	if (set_new(object, "clients", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, client_object(&clients[i])) < 0)
			return -ENOMEM;
	return set_new(object, "range",
	               json_pack("[i,i]", (int)pool->range.low, (int)pool->range.high));
}
