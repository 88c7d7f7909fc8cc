/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the ledger remembers, for people. */

#include "view/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "view/style.h"

struct page {
	const struct lp_ledger_facts *facts;
	const struct lp_style *style;
	FILE *out;
};

static const char *micro(const struct page *page)
{
	return page->style->unicode ? "µs" : "us";
}

/* "web", "host", or the inode, safe to print. */
static void netns_text(const struct page *page, struct lp_netns_id id, char buf[LP_CELL])
{
	const char *name = lp_ledger_netns_name(page->facts, id);
	if (name)
		(void)snprintf(buf, LP_CELL, "%s", name);
	else
		(void)snprintf(buf, LP_CELL, "%" PRIu64, id.inode);
	lp_text_clean(buf, page->style->unicode);
}

static void party_text(const struct page *page, const struct lp_ledger_party *party,
                       char buf[LP_CELL])
{
	(void)snprintf(buf, LP_CELL, "%s (%d)", party->command, (int)party->pid);
	lp_text_clean(buf, page->style->unicode);
}

/* The last column: what is left of the line. */
static int put_last(const struct page *page, size_t before, const char *text)
{
	char buf[LP_CELL];
	size_t width = page->style->width;
	lp_text_shorten(text, width > before + 10 ? width - before : 10, page->style->ellipsis, buf,
	                sizeof(buf));
	return lp_put(page->out, "%s\n", buf);
}

static int put_head(const struct page *page, const char *head)
{
	return lp_put(page->out, "\n%s%s%s\n", lp_style_bold(page->style), head,
	              lp_style_reset(page->style));
}

static size_t shown(const struct page *page, size_t n)
{
	return page->style->rows && n > page->style->rows ? page->style->rows : n;
}

static int put_rest(const struct page *page, size_t n)
{
	size_t rest = n - shown(page, n);
	return rest ? lp_put(page->out, "and %zu more: --all\n", rest) : 0;
}

/* ---- the tables ---------------------------------------------------------------------------- */

static int put_since(const struct page *page)
{
	time_t seconds = (time_t)(page->facts->since_ms / 1000);
	struct tm tm;
	char text[64] = "?";
	if (gmtime_r(&seconds, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return lp_put(page->out, "%sThe ledger is on since %s.%s\n", lp_style_bold(page->style),
	              text, lp_style_reset(page->style));
}

static int put_totals(const struct page *page)
{
	const struct lp_ledger_facts *facts = page->facts;
	char opened[LP_FIGURE_TEXT], closed[LP_FIGURE_TEXT], refused[LP_FIGURE_TEXT];
	char text[256];
	(void)snprintf(text, sizeof(text),
	               "%s connect%s, %s of them refused for want of a port; %s socket%s closed "
	               "first.",
	               lp_text_count(facts->opened, opened), lp_text_plural(facts->opened),
	               lp_text_count(facts->refused, refused),
	               lp_text_count(facts->closed_first, closed),
	               lp_text_plural(facts->closed_first));
	return lp_style_paragraph(page->style, page->out, text);
}

static int put_tables(const struct page *page)
{
	char used[LP_FIGURE_TEXT], size[LP_FIGURE_TEXT], lost[LP_FIGURE_TEXT];
	int r = put_head(page, "TABLE            USED         SIZE         LOST");
	for (size_t i = 0; i < LP_LEDGER_TABLES && r == 0; i++) {
		const struct lp_ledger_table *table = &page->facts->tables[i];
		r = lp_put(page->out, "%-9s %11s %12s %12s\n", table->name,
		           lp_text_count(table->used, used), lp_text_count(table->size, size),
		           lp_text_count(table->lost, lost));
	}
	return r;
}

static int put_losses(const struct page *page)
{
	const struct lp_ledger_facts *facts = page->facts;
	char text[256], n[LP_FIGURE_TEXT];
	int r = 0;
	if (facts->lost_time_wait) {
		(void)snprintf(text, sizeof(text),
		               "%s socket%s forgotten while the TIME_WAIT may have been there, and "
		               "nobody is named for it. --memory gives more room.",
		               lp_text_count(facts->lost_time_wait, n),
		               facts->lost_time_wait == 1 ? " was" : "s were");
		r = lp_style_paragraph(page->style, page->out, text);
	}
	if (r == 0 && facts->unowned) {
		(void)snprintf(text, sizeof(text), "%s socket%s closed first in no process's name.",
		               lp_text_count(facts->unowned, n),
		               facts->unowned == 1 ? " was" : "s were");
		r = lp_style_paragraph(page->style, page->out, text);
	}
	if (r == 0 && facts->missed.known && facts->missed.n) {
		(void)snprintf(text, sizeof(text),
		               "%s change%s of state missed: another one was just being noted.",
		               lp_text_count(facts->missed.n, n), lp_text_plural(facts->missed.n));
		r = lp_style_paragraph(page->style, page->out, text);
	}
	if (r == 0 && facts->other_pids)
		r = lp_style_paragraph(page->style, page->out,
		                       "Processes are numbered as in the machine's first PID "
		                       "namespace, not as here.");
	return r;
}

/* ---- refused connects ---------------------------------------------------------------------- */

static int put_refusal(const struct page *page, const struct lp_ledger_refusal *refusal)
{
	static const char *const whys[LP_REFUSALS] = {
	        [LP_REFUSAL_NO_PORT] = "no port", [LP_REFUSAL_BOUND_PORT] = "bound port"};
	char number[LP_FIGURE_TEXT], who[LP_CELL], to[LP_ADDRESS_TEXT], netns[LP_CELL];
	char last[3 * LP_CELL];
	party_text(page, &refusal->party, who);
	netns_text(page, refusal->party.netns, netns);
	(void)lp_address_port_text(&refusal->remote, refusal->port, to);
	(void)snprintf(last, sizeof(last), "%s %s %s, %s", who, page->style->arrow, to, netns);
	int r = lp_put(page->out, "%8s  %-10s  ", lp_text_count(refusal->refused, number),
	               whys[refusal->why]);
	return r < 0 ? r : put_last(page, 22, last);
}

static int put_refusals(const struct page *page)
{
	const struct lp_ledger_facts *facts = page->facts;
	if (!facts->n_refusals)
		return 0;
	int r = put_head(page, " REFUSED  WHY         WHO");
	for (size_t i = 0; i < shown(page, facts->n_refusals) && r == 0; i++)
		r = put_refusal(page, &facts->refusals[i]);
	return r < 0 ? r : put_rest(page, facts->n_refusals);
}

/* ---- how long the search took -------------------------------------------------------------- */

/* "< 33 µs", "< 2.1 ms" */
static void below_text(const struct page *page, const uint64_t times[LP_SEARCH_TIMES], double part,
                       char buf[LP_CELL])
{
	struct lp_figure ns = lp_search_quantile(times, part);
	if (!ns.known)
		(void)snprintf(buf, LP_CELL, "%s", page->style->unknown);
	else if (ns.n == UINT64_MAX)
		(void)snprintf(buf, LP_CELL, "> %.1f s",
		               (double)(UINT64_C(1) << (LP_SEARCH_TIMES + 8)) / 1e9);
	else if (ns.n < 1000000)
		(void)snprintf(buf, LP_CELL, "< %.0f %s", (double)ns.n / 1e3, micro(page));
	else if (ns.n < 1000000000)
		(void)snprintf(buf, LP_CELL, "< %.1f ms", (double)ns.n / 1e6);
	else
		(void)snprintf(buf, LP_CELL, "< %.1f s", (double)ns.n / 1e9);
}

/* A cell to the right of `columns`, whatever bytes its characters take. */
static int put_right(const struct page *page, size_t columns, const char *text)
{
	size_t width = lp_text_width(text);
	return lp_put(page->out, "%*s%s  ", (int)(columns > width ? columns - width : 0), "", text);
}

static int put_search(const struct page *page, const struct lp_ledger_search_times *search)
{
	char number[LP_FIGURE_TEXT], to[LP_ADDRESS_TEXT], netns[LP_CELL], cell[LP_CELL];
	char last[3 * LP_CELL];
	const struct {
		const uint64_t *times;
		double part;
	} cells[] = {{search->recent, 0.5}, {search->times, 0.5}, {search->times, 0.99}};
	uint64_t connects = lp_search_count(search->times) + search->unmeasured;
	int r = put_right(page, 9, lp_text_count(connects, number));
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]) && r == 0; i++) {
		below_text(page, cells[i].times, cells[i].part, cell);
		r = put_right(page, 9, cell);
	}
	netns_text(page, search->netns, netns);
	(void)lp_address_port_text(&search->remote, search->port, to);
	(void)snprintf(last, sizeof(last), "%s, %s", to, netns);
	return r < 0 ? r : put_last(page, 44, last);
}

static int put_searches(const struct page *page)
{
	const struct lp_ledger_facts *facts = page->facts;
	if (!facts->n_searches)
		return 0;
	int r = put_head(page, " CONNECTS   HALF NOW       HALF       99 %  SEARCH FOR A PORT TO");
	for (size_t i = 0; i < shown(page, facts->n_searches) && r == 0; i++)
		r = put_search(page, &facts->searches[i]);
	return r < 0 ? r : put_rest(page, facts->n_searches);
}

/* ---- who ----------------------------------------------------------------------------------- */

static int put_actor(const struct page *page, const struct lp_ledger_actor *actor)
{
	char opened[LP_FIGURE_TEXT], closed[LP_FIGURE_TEXT], who[LP_CELL], netns[LP_CELL];
	char last[3 * LP_CELL];
	party_text(page, &actor->party, who);
	netns_text(page, actor->party.netns, netns);
	(void)snprintf(last, sizeof(last), "%s, %s", who, netns);
	int r = lp_put(page->out, "%11s  %12s  ", lp_text_count(actor->opened, opened),
	               lp_text_count(actor->closed_first, closed));
	return r < 0 ? r : put_last(page, 27, last);
}

static int put_actors(const struct page *page)
{
	const struct lp_ledger_facts *facts = page->facts;
	if (!facts->n_actors)
		return 0;
	int r = put_head(page, "   CONNECTS  CLOSED FIRST  WHO");
	for (size_t i = 0; i < shown(page, facts->n_actors) && r == 0; i++)
		r = put_actor(page, &facts->actors[i]);
	return r < 0 ? r : put_rest(page, facts->n_actors);
}

static int put_all(const struct page *page)
{
	int (*const parts[])(const struct page *) = {put_since,  put_totals,   put_losses,
	                                             put_tables, put_refusals, put_searches,
	                                             put_actors};
	int r = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && r == 0; i++)
		r = parts[i](page);
	if (r == 0 && fflush(page->out) != 0)
		r = lp_errno();
	return r;
}

int lp_view_ledger_text(const struct lp_ledger_facts *facts, const struct lp_text_options *options,
                        FILE *out)
{
	struct lp_locale locale = lp_locale_enter();
	struct lp_text_options plain = *options;
	if (!locale.utf8)
		plain.unicode = false;
	struct lp_style style = lp_style_make(NULL, &plain);
	const struct page page = {.facts = facts, .style = &style, .out = out};
	int r = put_all(&page);
	lp_locale_leave(&locale);
	return r;
}
