/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said below the table of connection tracking, where its entries were read. */

#include "limit/kinds.h"
#include "snapshot/drops.h"
#include "snapshot/nat.h"
#include "view/sentence.h"
#include "view/style.h"

/* At most so many are told of. */
enum { NAMESPACES = 3, TALKERS = 3 };

/* "what n, what n": a comma before all but the first. */
static void add_count(struct lp_sentence *sentence, bool *first, const char *what, uint64_t n)
{
	char number[LP_FIGURE_TEXT];
	if (!n)
		return;
	lp_add(sentence, "%s%s %s", *first ? "" : ", ", what, lp_text_count(n, number));
	*first = false;
}

static int put_sums(const struct lp_style *style, FILE *out, const struct lp_limit *limit,
                    const struct lp_netns *netns)
{
	const struct lp_conntrack_detail *detail = netns->conntrack;
	struct lp_sentence sentence = {0};
	char name[LP_CELL], all[LP_FIGURE_TEXT], assured[LP_FIGURE_TEXT];
	bool first = true;
	lp_style_netns(style, limit->netns, name);
	lp_add(&sentence, "conntrack of %s: %s entries, %s ASSURED: ", name,
	       lp_text_count(detail->entries, all), lp_text_count(detail->assured, assured));
	for (int i = 0; i < LP_CT_PROTOCOLS; i++)
		add_count(&sentence, &first,
		          lp_conntrack_protocol_name((enum lp_conntrack_protocol)i),
		          detail->protocols[i]);
	first = true;
	lp_add(&sentence, "%s", detail->protocols[LP_CT_TCP] ? " (" : "");
	for (unsigned i = 0; i < LP_CT_STATES; i++)
		add_count(&sentence, &first, lp_conntrack_state_name(i), detail->states[i]);
	lp_add(&sentence, "%s.", detail->protocols[LP_CT_TCP] ? ")" : "");
	return lp_style_paragraph(style, out, sentence.text);
}

static void add_talkers(const struct lp_style *style, struct lp_sentence *sentence,
                        const char *what, const struct lp_conntrack_talkers *talkers)
{
	char text[LP_ADDRESS_TEXT], number[LP_FIGURE_TEXT];
	lp_add(sentence, "%s", what);
	for (size_t i = 0; i < talkers->n && i < TALKERS; i++) {
		const struct lp_conntrack_talker *talker = &talkers->items[i];
		lp_add(sentence, "%s", i ? ", " : "");
		if (talker->address.family)
			lp_add(sentence, "%s", lp_address_text(&talker->address, text));
		else
			lp_add(sentence, "%s %u", lp_conntrack_protocol_name(talker->protocol),
			       talker->port);
		lp_add(sentence, " (%s%s)", talker->missed ? style->about : "",
		       lp_text_count(talker->entries, number));
	}
}

static int put_talkers(const struct lp_style *style, FILE *out,
                       const struct lp_conntrack_detail *detail)
{
	struct lp_sentence sentence = {0};
	add_talkers(style, &sentence, "Most entries: from ", &detail->sources);
	add_talkers(style, &sentence, "; to ", &detail->destinations);
	if (detail->ports.n)
		add_talkers(style, &sentence, "; to port ", &detail->ports);
	lp_add(&sentence, ".");
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_drain(const struct lp_style *style, FILE *out,
                     const struct lp_conntrack_detail *detail)
{
	enum { AFTER_30 = 2, AFTER_60 = 5, AFTER_120 = 11 };
	struct lp_sentence sentence = {0};
	char all[LP_FIGURE_TEXT], half[LP_FIGURE_TEXT], one[LP_FIGURE_TEXT], two[LP_FIGURE_TEXT];
	if (!detail->states[LP_CT_TIME_WAIT])
		return 0;
	lp_add(&sentence, "Of %s entries in TIME_WAIT %s go within 30 s, %s in 60 s, %s in 120 s.",
	       lp_text_count(detail->states[LP_CT_TIME_WAIT], all),
	       lp_text_count(detail->drain[AFTER_30], half),
	       lp_text_count(detail->drain[AFTER_60], one),
	       lp_text_count(detail->drain[AFTER_120], two));
	return lp_style_paragraph(style, out, sentence.text);
}

static bool tells_of_trouble(const struct lp_conntrack_counter *counter)
{
	switch (counter->offset) {
	case offsetof(struct lp_conntrack_counters, insert_failed):
	case offsetof(struct lp_conntrack_counters, drop):
	case offsetof(struct lp_conntrack_counters, early_drop):
	case offsetof(struct lp_conntrack_counters, chain_too_long):
		return true;
	default:
		return false;
	}
}

/* Counters that are not 0, of those that tell of trouble. */
static int put_counters(const struct lp_style *style, FILE *out, const struct lp_netns *netns)
{
	struct lp_conntrack_counters counters = netns->conntrack_counters,
	                             growth = netns->conntrack_growth;
	struct lp_sentence sentence = {0};
	char number[LP_FIGURE_TEXT];
	double apart_s = style->report->snapshot->apart_s;
	bool first = true;
	for (size_t i = 0; i < LP_CONNTRACK_COUNTERS; i++) {
		const struct lp_conntrack_counter *counter = &lp_conntrack_counter_list[i];
		struct lp_figure n = *lp_conntrack_figure(&counters, counter);
		struct lp_figure grew = *lp_conntrack_figure(&growth, counter);
		if (!n.n || !tells_of_trouble(counter))
			continue;
		lp_add(&sentence, "%s", first ? "Counted since the namespace began: " : "");
		add_count(&sentence, &first, counter->name, n.n);
		if (grew.known && apart_s > 0)
			lp_add(&sentence, " (%s/s now)",
			       lp_text_real((double)grew.n / apart_s, number));
	}
	if (first)
		return 0;
	lp_add(&sentence, ".");
	return lp_style_paragraph(style, out, sentence.text);
}

/* What was dropped, by cause: between two looks, or since the namespace began. */
static int put_drops(const struct lp_style *style, FILE *out, const struct lp_netns *netns)
{
	const struct lp_snapshot *snapshot = style->report->snapshot;
	struct lp_sentence sentence = {0};
	struct lp_drops drops;
	char number[LP_FIGURE_TEXT];
	bool growth = snapshot->apart_s > 0;
	if (!lp_drops_of(snapshot, netns, growth, &drops) || !drops.all)
		return 0;
	lp_add(&sentence, "Dropped%s:", growth ? " between the two looks" : "");
	const char *before = " ";
	for (int i = 0; i < LP_DROP_CAUSES; i++) {
		if (!drops.packets[i])
			continue;
		lp_add(&sentence, "%s%s (%s)", before, lp_text_count(drops.packets[i], number),
		       lp_drop_names[i].label);
		before = ", ";
	}
	lp_add(&sentence, ".");
	return lp_style_paragraph(style, out, sentence.text);
}

static int put_netns(const struct lp_style *style, FILE *out, const struct lp_limit *limit,
                     const struct lp_netns *netns)
{
	int r = put_sums(style, out, limit, netns);
	if (r == 0)
		r = put_talkers(style, out, netns->conntrack);
	if (r == 0)
		r = put_drain(style, out, netns->conntrack);
	if (r == 0)
		r = put_counters(style, out, netns);
	return r < 0 ? r : put_drops(style, out, netns);
}

/* Of a row of SNAT ports that begins to refuse or is nearly full. */
static int put_nat(const struct lp_style *style, FILE *out, const struct lp_limit *limit)
{
	const struct lp_real *chance = &lp_style_forecast(style, limit)->chance.refused;
	struct lp_nat_client clients[LP_NAT_CLIENTS];
	struct lp_sentence sentence = {0};
	char where[LP_CELL], percent[LP_FIGURE_TEXT], text[LP_ADDRESS_TEXT];
	size_t n = lp_nat_clients(limit->nat, clients);
	lp_style_where(style, limit, where);
	lp_add(&sentence, "%s: ", where);
	if (chance->known)
		lp_add(&sentence, "the next connection is refused with %s, ",
		       lp_text_percent((uint32_t)(chance->n * LP_FULL), percent));
	lp_add(&sentence, "ports %u to %u", limit->nat->range.low, limit->nat->range.high);
	for (size_t i = 0; i < n && i < TALKERS; i++)
		lp_add(&sentence, "%s%s (%s)", i ? ", " : "; most have ",
		       lp_address_text(&clients[i].address, text),
		       lp_text_count(clients[i].ports, percent));
	lp_add(&sentence, ".");
	return lp_style_paragraph(style, out, sentence.text);
}

static bool is_worth_a_line(const struct lp_style *style, const struct lp_limit *limit)
{
	const double noticed = 0.001;
	return lp_style_concern(style, limit) != LP_CONCERN_NONE ||
	       lp_style_forecast(style, limit)->chance.refused.n >= noticed;
}

int lp_nat_write(const struct lp_style *style, FILE *out)
{
	const struct lp_limit *limit;
	size_t at = 0, shown = 0, n = 0;
	int r = 0;
	while (r == 0 && n < NAMESPACES && (limit = lp_style_next(style, &at, &shown))) {
		if (limit->kind != &lp_snat_ports || !is_worth_a_line(style, limit))
			continue;
		r = put_nat(style, out, limit);
		n++;
	}
	return r;
}

int lp_conntrack_write(const struct lp_style *style, FILE *out)
{
	const struct lp_limit *limit;
	size_t at = 0, shown = 0, n = 0;
	int r = 0;
	while (r == 0 && n < NAMESPACES && (limit = lp_style_next(style, &at, &shown))) {
		if (limit->kind != &lp_conntrack_entries)
			continue;
		const struct lp_netns *netns = &style->report->snapshot->netns[limit->netns];
		if (!netns->conntrack || !netns->conntrack->entries)
			continue;
		r = put_netns(style, out, limit, netns);
		n++;
	}
	return r;
}
