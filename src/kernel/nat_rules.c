/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/nat_rules.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/nft.h"

enum { UNPRIVILEGED = 1024, LAST = 65535 };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* ---- chains -------------------------------------------------------------------------------- */

static bool take_name(char *to, size_t size, const char *name)
{
	size_t length = strlen(name);
	if (!length || length >= size)
		return false;
	memcpy(to, name, length + 1);
	return true;
}

static void add_chain(struct lp_nat_rules *rules, const char *family, const char *table,
                      const char *name)
{
	struct lp_nat_chain chain = {0};
	if (!take_name(chain.family, sizeof(chain.family), family) ||
	    !take_name(chain.table, sizeof(chain.table), table) ||
	    !take_name(chain.name, sizeof(chain.name), name))
		return;
	for (size_t i = 0; i < rules->n_chains; i++)
		if (!memcmp(&rules->chains[i], &chain, sizeof(chain)))
			return;
	if (rules->n_chains == LP_NAT_CHAINS)
		rules->cut = true;
	else
		rules->chains[rules->n_chains++] = chain;
}

/* A base chain that may translate sources: of what is sent out, or comes in. */
static void take_chain(struct lp_nat_rules *rules, const json_t *chain)
{
	const char *hook = text_of(chain, "hook");
	if (!strcmp(text_of(chain, "type"), "nat") &&
	    (!strcmp(hook, "postrouting") || !strcmp(hook, "input")))
		add_chain(rules, text_of(chain, "family"), text_of(chain, "table"),
		          text_of(chain, "name"));
}

/* ---- rules --------------------------------------------------------------------------------- */

static bool is_udp(const json_t *value)
{
	return json_is_string(value) && !strcmp(json_string_value(value), "udp");
}

/* Whether a rule is for UDP alone. */
static bool excludes_tcp(const json_t *match)
{
	const json_t *left = json_object_get(match, "left");
	const char *key = text_of(json_object_get(left, "meta"), "key");
	const json_t *payload = json_object_get(left, "payload");
	if (!strcmp(key, "l4proto") || !strcmp(text_of(payload, "field"), "protocol") ||
	    !strcmp(text_of(payload, "field"), "nexthdr"))
		return is_udp(json_object_get(match, "right"));
	return !strcmp(text_of(payload, "protocol"), "udp");
}

static bool is_random(const json_t *flag)
{
	const char *text = json_string_value(flag);
	return text && (!strcmp(text, "random") || !strcmp(text, "fully-random"));
}

/* One flag, or a list of them. */
static bool has_random(const json_t *flags)
{
	bool random = is_random(flags);
	for (size_t i = 0; i < json_array_size(flags); i++)
		random |= is_random(json_array_get(flags, i));
	return random;
}

static bool port_of(const json_t *value, uint16_t *ret)
{
	json_int_t port = json_is_integer(value) ? json_integer_value(value) : -1;
	if (port < 0 || port > LAST)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* A port, or {"range": [low, high]}. False: something else, as a map. */
static bool take_ports(const json_t *port, struct lp_nat_rule *rule)
{
	const json_t *range = json_object_get(port, "range");
	if (!port || json_is_null(port))
		return true;
	if (port_of(port, &rule->low)) {
		rule->high = rule->low;
		return true;
	}
	if (!port_of(json_array_get(range, 0), &rule->low) ||
	    !port_of(json_array_get(range, 1), &rule->high))
		return false;
	if (rule->low > rule->high) { /* the kernel swaps them too */
		uint16_t low = rule->high;
		rule->high = rule->low;
		rule->low = low;
	}
	return true;
}

static bool address_of(const json_t *value, struct lp_address *ret)
{
	const char *text = json_string_value(value);
	return text && lp_address_parse(text, ret) == 0;
}

/* An address, or {"range": [first, last]}. */
static bool take_addresses(const json_t *address, struct lp_nat_rule *rule)
{
	const json_t *range = json_object_get(address, "range");
	if (address_of(address, &rule->from)) {
		rule->to = rule->from;
	} else if (!address_of(json_array_get(range, 0), &rule->from) ||
	           !address_of(json_array_get(range, 1), &rule->to)) {
		return false;
	}
	rule->family = rule->from.family;
	return rule->from.family == rule->to.family;
}

static int family_called(const char *name)
{
	if (!strcmp(name, "ip"))
		return AF_INET;
	return !strcmp(name, "ip6") ? AF_INET6 : 0;
}

static void add_rule(struct lp_nat_rules *rules, const json_t *statement, const char *family,
                     bool masquerade)
{
	struct lp_nat_rule rule = {.family = family_called(family), .masquerade = masquerade};
	rule.random = has_random(json_object_get(statement, "flags"));
	if (!take_ports(json_object_get(statement, "port"), &rule) ||
	    (!masquerade && !take_addresses(json_object_get(statement, "addr"), &rule)))
		rules->opaque = true;
	else if (rules->n == LP_NAT_RULES)
		rules->cut = true;
	else
		rules->items[rules->n++] = rule;
}

static void take_statement(struct lp_nat_rules *rules, const json_t *rule, const char *key,
                           const json_t *value)
{
	const char *family = text_of(rule, "family");
	if (!strcmp(key, "snat"))
		add_rule(rules, value, family, false);
	else if (!strcmp(key, "masquerade"))
		add_rule(rules, value, family, true);
	else if (!strcmp(key, "jump") || !strcmp(key, "goto"))
		add_chain(rules, family, text_of(rule, "table"), text_of(value, "target"));
	else if (!strcmp(key, "xt") || !strcmp(key, "vmap"))
		rules->opaque = true;
}

static void take_rule(struct lp_nat_rules *rules, const json_t *rule)
{
	const json_t *expressions = json_object_get(rule, "expr");
	json_t *value;
	const char *key;
	for (size_t i = 0; i < json_array_size(expressions); i++) {
		json_t *expression = json_array_get(expressions, i);
		if (excludes_tcp(json_object_get(expression, "match")))
			return;
		json_object_foreach(expression, key, value)
		{
			take_statement(rules, rule, key, value);
		}
	}
}

int lp_nat_rules_parse(const char *json, struct lp_nat_rules *rules)
{
	json_auto_t *root = json_loads(json, 0, NULL);
	const json_t *items = json_object_get(root, "nftables");
	if (!json_is_array(items))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		take_chain(rules, json_object_get(item, "chain"));
		take_rule(rules, json_object_get(item, "rule"));
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int run(const char *commands, struct lp_nat_rules *rules, struct lp_error *err)
{
	_cleanup_(lp_free_ptr) char *json = NULL;
	int r = lp_nft_run(commands, &json, err);
	if (r == 0 && lp_nat_rules_parse(json, rules) < 0)
		r = lp_fail(err, EINVAL, "nftables: its answer is not understood");
	return r;
}

/* As JSON, so that no name can be taken for a command. */
static int list_chain(const struct lp_nat_chain *chain, struct lp_nat_rules *rules,
                      struct lp_error *err)
{
	json_auto_t *command =
	        json_pack("{s:[{s:{s:{s:s,s:s,s:s}}}]}", "nftables", "list", "chain", "family",
	                  chain->family, "table", chain->table, "name", chain->name);
	_cleanup_(lp_free_ptr) char *text = json_dumps(command, JSON_COMPACT);
	if (!text)
		return lp_fail(err, ENOMEM, "out of memory");
	return run(text, rules, err);
}

int lp_nat_rules_read(struct lp_nat_rules *ret, struct lp_error *err)
{
	memset(ret, 0, sizeof(*ret));
	int r = run("list chains", ret, err);
	/* the list grows by the chains that are jumped to */
	for (size_t i = 0; i < ret->n_chains && r == 0; i++)
		r = list_chain(&ret->chains[i], ret, err);
	return r;
}

/* ---- which rule it is ---------------------------------------------------------------------- */

static bool is_within(const struct lp_address *address, const struct lp_nat_rule *rule)
{
	return address->family == rule->from.family &&
	       memcmp(address->bytes, rule->from.bytes, sizeof(address->bytes)) >= 0 &&
	       memcmp(address->bytes, rule->to.bytes, sizeof(address->bytes)) <= 0;
}

static bool applies(const struct lp_nat_rule *rule, const struct lp_address *translated)
{
	if (rule->masquerade)
		return !rule->family || rule->family == translated->family;
	return is_within(translated, rule);
}

/* Without a range the kernel takes these for clients' ports from 1024 on. */
static struct lp_nat_range range_of(const struct lp_nat_rule *rule)
{
	return (struct lp_nat_range){
	        .low = rule->high ? rule->low : UNPRIVILEGED,
	        .high = rule->high ? rule->high : LAST,
	        .random = rule->random,
	        .told = true,
	};
}

struct lp_nat_range lp_nat_range_of(const struct lp_nat_rules *rules,
                                    const struct lp_nat_pool *pool)
{
	struct lp_nat_range best = {.low = UNPRIVILEGED, .high = LAST};
	uint32_t most = 0, used, closing;
	bool several = false;
	for (size_t i = 0; i < rules->n; i++) {
		if (!applies(&rules->items[i], &pool->key.translated))
			continue;
		struct lp_nat_range range = range_of(&rules->items[i]);
		lp_nat_count(pool, range.low, range.high, &used, &closing);
		several |= best.told && (range.low != best.low || range.high != best.high);
		if (!best.told || used > most) {
			best = range;
			most = used;
		}
	}
	best.several = several;
	best.told = best.told && !rules->opaque && !rules->cut;
	return best;
}
