/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the kernel counts of a namespace's queues, and whose it is as far as that is certain. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "limit/kinds.h"
#include "view/json_parts.h"
#include "view/sentence.h"
#include "view/style.h"

/* One of the counters that a kind of limit names. */
struct counted {
	const char *name;
	struct lp_figure ever, grew;
};

static struct counted counted_of(const struct lp_netns *netns, const char *name)
{
	struct lp_tcp_counters ever = netns->tcp_counters, growth = netns->tcp_growth;
	struct counted counted = {.name = name};
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++) {
		const struct lp_tcp_counter *counter = &lp_tcp_counter_list[i];
		if (strcmp(counter->name, name) != 0)
			continue;
		counted.ever = *lp_tcp_figure(&ever, counter);
		counted.grew = *lp_tcp_figure(&growth, counter);
	}
	return counted;
}

/* What fills the accept queue of one listener fills no SYN queue for certain. */
static bool is_blamed(const struct lp_netns *netns, const struct lp_limit *limit)
{
	bool only_full =
	        limit->kind == &lp_accept_queue && netns->overflow.how == LP_OVERFLOW_OF_ONLY_FULL;
	return limit->subject && limit->listener->inode == netns->overflow.inode &&
	       (only_full || netns->overflow.how == LP_OVERFLOW_OF_ONLY);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static json_t *counters_object(const struct lp_netns *netns, const struct lp_limit *limit,
                               double apart_s)
{
	json_auto_t *object = json_object();
	for (const char *const *name = limit->kind->counters; *name; name++) {
		struct counted counted = counted_of(netns, *name);
		struct lp_figure figure = apart_s > 0 ? counted.grew : counted.ever;
		if (figure.known &&
		    set_new(object, *name,
		            apart_s > 0 ? lp_json_fraction((double)figure.n / apart_s)
		                        : json_integer((json_int_t)figure.n)) < 0)
			return NULL;
	}
	return json_incref(object);
}

static const char *whose(const struct lp_netns *netns, const struct lp_limit *limit)
{
	if (!is_blamed(netns, limit))
		return "namespace";
	return netns->overflow.how == LP_OVERFLOW_OF_ONLY ? "listener" : "only-full-listener";
}

int lp_json_counters(json_t *object, const struct lp_snapshot *snapshot,
                     const struct lp_limit *limit)
{
	const struct lp_netns *netns = &snapshot->netns[limit->netns];
	if (!counted_of(netns, limit->kind->counters[0]).ever.known)
		return 0;
	if (set_new(object, "counters", counters_object(netns, limit, 0)) < 0)
		return -ENOMEM;
	if (snapshot->apart_s <= 0)
		return 0;
	if (set_new(object, "counters_per_s", counters_object(netns, limit, snapshot->apart_s)) < 0)
		return -ENOMEM;
	return limit->subject ? set_new(object, "counters_of", json_string(whose(netns, limit)))
	                      : 0;
}

/* ---- for people ---------------------------------------------------------------------------- */

/* The listener that is to overflow; NULL where nobody is for certain. */
static const struct lp_listener *blamed(const struct lp_netns *netns,
                                        const struct lp_limit_kind *kind)
{
	for (size_t i = 0; i < netns->n_listeners; i++) {
		const struct lp_limit limit = {.kind = kind, .listener = &netns->listeners[i]};
		if (is_blamed(netns, &limit))
			return &netns->listeners[i];
	}
	return NULL;
}

static void add_whose(struct lp_sentence *sentence, const struct lp_netns *netns,
                      const struct lp_limit_kind *kind)
{
	const struct lp_listener *listener = blamed(netns, kind);
	char address[LP_ADDRESS_TEXT];
	if (!listener)
		return;
	lp_address_port_text(&listener->address, listener->port, address);
	lp_add(sentence, ": %s, the only listener%s", address,
	       netns->overflow.how == LP_OVERFLOW_OF_ONLY_FULL ? " whose queue is full" : "");
}

static int put_counted(const struct lp_style *style, FILE *out, const struct lp_limit *limit,
                       const struct counted *counted)
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	struct lp_sentence sentence = {0};
	char name[LP_CELL], number[LP_FIGURE_TEXT];
	lp_style_netns(style, limit->netns, name);
	lp_add(&sentence, "%s of %s: %s since it began", counted->name, name,
	       lp_text_count(counted->ever.n, number));
	if (counted->grew.known && snapshot->apart_s > 0)
		lp_add(&sentence, ", %s/s now",
		       lp_text_real((double)counted->grew.n / snapshot->apart_s, number));
	if (counted->grew.n)
		add_whose(&sentence, &snapshot->netns[limit->netns], limit->kind);
	lp_add(&sentence, ".");
	return lp_style_paragraph(style, out, sentence.text);
}

/* On a screen only what grows; else whatever is not 0. */
static int put_limit(const struct lp_style *style, FILE *out, const struct lp_limit *limit)
{
	const struct lp_netns *netns = &style->report->snapshot->netns[limit->netns];
	int r = 0;
	for (const char *const *name = limit->kind->counters; *name && r == 0; name++) {
		struct counted counted = counted_of(netns, *name);
		if (style->rows ? counted.grew.n : counted.ever.n)
			r = put_counted(style, out, limit, &counted);
	}
	return r;
}

/* Once for each namespace that has a row of this kind. */
static int put_kind(const struct lp_style *style, FILE *out, const struct lp_limit_kind *kind)
{
	_cleanup_(lp_free_ptr) bool *told =
	        calloc(style->report->snapshot->n_netns + 1, sizeof(*told));
	const struct lp_limit *limit;
	size_t at = 0, shown = 0;
	int r = told ? 0 : -ENOMEM;
	while (r == 0 && (limit = lp_style_next(style, &at, &shown))) {
		if (limit->kind != kind || told[limit->netns])
			continue;
		told[limit->netns] = true;
		r = put_limit(style, out, limit);
	}
	return r;
}

int lp_counters_write(const struct lp_style *style, FILE *out)
{
	int r = 0;
	for (size_t i = 0; lp_limit_kinds[i] && r == 0; i++)
		if (lp_limit_kinds[i]->counters)
			r = put_kind(style, out, lp_limit_kinds[i]);
	return r;
}
