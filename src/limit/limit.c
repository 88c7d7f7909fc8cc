/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit/limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "limit/kinds.h"

const struct lp_limit_kind *const lp_limit_kinds[] = {
        &lp_local_ports,       &lp_bind_ports, &lp_client_ports,     &lp_time_wait_buckets,
        &lp_conntrack_entries, &lp_snat_ports, &lp_file_descriptors, &lp_accept_queue,
        &lp_syn_queue,         &lp_tcp_memory, &lp_orphans,          NULL,
};

const struct lp_limit_kind *lp_limit_kind_find(const char *name)
{
	for (size_t i = 0; lp_limit_kinds[i]; i++)
		if (!strcmp(lp_limit_kinds[i]->name, name))
			return lp_limit_kinds[i];
	return NULL;
}

const char *lp_assumption_text(enum lp_assumption assumption)
{
	switch (assumption) {
	case LP_ASSUME_PORTS_BY_CONNECT:
		return "connections got their ports from connect(), not from bind() before it";
	case LP_ASSUME_TIMESTAMPS:
		return "timestamps were on for TIME_WAITs if they are on now";
	case LP_ASSUME_CLIENT_PORTS:
		return "clients use no ports below 1024";
	case LP_ASSUME_ODD_RANGE:
		return "the port range has an odd size, so the kernel may miss one port";
	case LP_ASSUME_SYN_REPLACES:
		return "a new SYN replaces a TIME_WAIT (not where PAWS rejects it)";
	case LP_ASSUME_SIX_IN_THE_WAY:
		return "IPv6 connections were not bound to an address before connect(), so that "
		       "their ports are not free for 0.0.0.0";
	case LP_ASSUME_SYN_QUEUE_EVEN:
		return "this kernel, older than 6.14, was not given its fix that lets a SYN queue "
		       "hold one more";
	case LP_ASSUME_CLIENTS_UNKNOWN:
		return "clients are not known from earlier connections, for whom the last quarter "
		       "of tcp_max_syn_backlog is kept";
	case LP_ASSUME_SNAT_RANGE:
		return "source NAT chooses from ports 1024 to 65535: its rule could not be read";
	case LP_ASSUME_SNAT_RULE:
		return "of several rules of source NAT the one whose ports are in use";
	case LP_ASSUME_CLOSING_TAKEN:
		return "source NAT takes ports of entries in TIME_WAIT again, as Linux 6.6 does";
	}
	return "";
}

void lp_limits_done(struct lp_limits *limits)
{
	free(limits->items);
	*limits = (struct lp_limits){0};
}

static uint32_t pressure_of(uint64_t used, uint64_t capacity)
{
	if (used >= capacity)
		return LP_FULL;
	/* not used * LP_FULL / capacity: file-max may be near 2^63 */
	if (capacity > UINT64_MAX / LP_FULL)
		return (uint32_t)(used / (capacity / LP_FULL));
	return (uint32_t)(used * LP_FULL / capacity);
}

struct lp_limit *lp_limits_add(struct lp_limits *limits, const struct lp_limit_kind *kind,
                               size_t netns, uint64_t used, uint64_t capacity)
{
	if (!lp_array_grow(&limits->items, &limits->room, limits->n, sizeof(*limits->items)))
		return NULL;
	struct lp_limit *limit = &limits->items[limits->n++];
	*limit = (struct lp_limit){
	        .kind = kind,
	        .netns = netns,
	        .used = used,
	        .capacity = capacity,
	        .headroom = capacity > used ? capacity - used : 0,
	        .pressure = pressure_of(used, capacity),
	        .exact = true,
	};
	return limit;
}

static size_t kind_place(const struct lp_limit_kind *kind)
{
	size_t i = 0;
	while (lp_limit_kinds[i] && lp_limit_kinds[i] != kind)
		i++;
	return i;
}

/* Nearest to exhaustion first; what is equal in a fixed order, so that two looks compare. */
static int compare(const void *x, const void *y)
{
	const struct lp_limit *a = x, *b = y;
	if (a->pressure != b->pressure)
		return a->pressure > b->pressure ? -1 : 1;
	if (a->headroom != b->headroom)
		return a->headroom < b->headroom ? -1 : 1;
	if (a->netns != b->netns)
		return a->netns < b->netns ? -1 : 1;
	if (a->kind != b->kind)
		return kind_place(a->kind) < kind_place(b->kind) ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->subject < b->subject ? -1 : a->subject > b->subject;
}

int lp_limits_collect(const struct lp_snapshot *snapshot, const struct lp_limit_kind *only,
                      struct lp_limits *limits)
{
	for (size_t i = 0; lp_limit_kinds[i]; i++) {
		const struct lp_limit_kind *kind = lp_limit_kinds[i];
		if (only && kind != only)
			continue;
		int r = kind->collect(snapshot, limits);
		if (r < 0)
			return r;
	}
	if (limits->n)
		qsort(limits->items, limits->n, sizeof(*limits->items), compare);
	return 0;
}

static struct lp_scope_word *add_word(struct lp_scope *scope, const char *key)
{
	struct lp_scope_word *word = &scope->words[scope->n++];
	*word = (struct lp_scope_word){.key = key};
	return word;
}

void lp_scope_text(struct lp_scope *scope, const char *key, const char *text)
{
	struct lp_scope_word *word = add_word(scope, key);
	word->type = LP_SCOPE_TEXT;
	(void)snprintf(word->text, sizeof(word->text), "%s", text);
}

void lp_scope_address(struct lp_scope *scope, const char *key, const struct lp_address *address)
{
	struct lp_scope_word *word = add_word(scope, key);
	word->type = LP_SCOPE_TEXT;
	lp_address_text(address, word->text);
}

void lp_scope_number(struct lp_scope *scope, const char *key, uint64_t number)
{
	struct lp_scope_word *word = add_word(scope, key);
	word->type = LP_SCOPE_NUMBER;
	word->number = number;
}

void lp_scope_null(struct lp_scope *scope, const char *key)
{
	add_word(scope, key)->type = LP_SCOPE_NULL;
}

void lp_where_listener(const struct lp_limit *limit, const char *arrow, char *buf, size_t size)
{
	char address[LP_ADDRESS_TEXT];
	(void)arrow;
	(void)snprintf(
	        buf, size, "%s",
	        lp_address_port_text(&limit->listener->address, limit->listener->port, address));
}

bool lp_range_is_odd(const struct lp_netns *netns)
{
	uint64_t size = netns->range_high.n - netns->range_low.n + 1;
	return size > 1 && size % 2 == 1;
}
