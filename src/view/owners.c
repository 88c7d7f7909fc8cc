/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Below a row of the table: who has its connections, a line each, and what is not known of whom. */

#include <inttypes.h>
#include <string.h>

#include "snapshot/cgroup.h"
#include "snapshot/owners.h"
#include "view/sentence.h"
#include "view/style.h"

/* Processes of one command in one cgroup: a program and its workers. */
struct group {
	const struct lp_owner *first; /* who has most */
	size_t n;
	uint64_t opened; /* by what the ledger knows */
	pid_t pid;       /* the lowest */
	uint32_t states[LP_STATES];
	uint32_t sharing;
};

enum { GROUPS = 8, LINES = 3, NAMED = 512 };

/* ---- groups -------------------------------------------------------------------------------- */

static bool is_same(const struct lp_owner *a, const struct lp_owner *b)
{
	bool cgroups =
	        a->cgroup && b->cgroup ? !strcmp(a->cgroup, b->cgroup) : !a->cgroup && !b->cgroup;
	return cgroups && a->ended == b->ended && a->cgroup_id == b->cgroup_id &&
	       !strcmp(a->command, b->command);
}

static void add_to(struct group *group, const struct lp_owner *owner)
{
	group->n += owner->processes;
	if (owner->pid < group->pid)
		group->pid = owner->pid;
	if (owner->sharing > group->sharing)
		group->sharing = owner->sharing;
	group->opened += owner->opened.known ? owner->opened.n : 0;
	for (int state = 0; state < LP_STATES; state++)
		group->states[state] += owner->states[state];
}

static uint64_t total(const struct group *group)
{
	uint64_t sum = 0;
	for (int state = 0; state < LP_STATES; state++)
		sum += group->states[state];
	return sum;
}

/* Fills groups, who has most first; *rest gets the connections of those that have no room. */
static size_t make_groups(const struct lp_pool_owners *owners, struct group groups[GROUPS],
                          uint64_t *rest)
{
	size_t n = 0;
	*rest = owners->unlisted;
	for (size_t i = 0; i < owners->n; i++) {
		const struct lp_owner *owner = &owners->items[i];
		size_t at = 0;
		while (at < n && !is_same(groups[at].first, owner))
			at++;
		if (at == GROUPS) {
			*rest += lp_owner_total(owner);
			continue;
		}
		if (at == n)
			groups[n++] = (struct group){.first = owner, .pid = owner->pid};
		add_to(&groups[at], owner);
		for (; at > 0 && total(&groups[at]) > total(&groups[at - 1]); at--) {
			struct group swap = groups[at];
			groups[at] = groups[at - 1];
			groups[at - 1] = swap;
		}
	}
	for (; n > LINES; n--)
		*rest += total(&groups[n - 1]);
	return n;
}

/* ---- one line ------------------------------------------------------------------------------ */

void lp_style_cgroup(const char *cgroup, uint64_t id, char buf[LP_CELL])
{
	enum { SHORT_ID = 12, SHORT_UID = 8, ID = 64 };
	struct lp_cgroup_names names;
	buf[0] = '\0';
	if (!cgroup) {
		if (id)
			(void)snprintf(buf, LP_CELL, " cgroup %" PRIu64 ", gone", id);
		return;
	}
	lp_cgroup_names(cgroup, &names);
	bool short_id = strlen(names.container) == ID;
	if (*names.container)
		(void)snprintf(buf, LP_CELL, " %s %.*s%s%.*s",
		               *names.runtime ? names.runtime : "container",
		               short_id ? SHORT_ID : LP_CGROUP_CONTAINER, names.container,
		               *names.pod ? " of pod " : "", SHORT_UID, names.pod);
	else if (*names.unit)
		(void)snprintf(buf, LP_CELL, " %.180s", names.unit);
	else if (strcmp(cgroup, "/") != 0)
		(void)snprintf(buf, LP_CELL, " %.180s", cgroup);
}

/* What it has; of one that has none of them left, that it opened some. */
static void say_figures(const struct lp_style *style, bool exact, struct lp_sentence *line,
                        const struct group *group)
{
	static const struct {
		unsigned states;
		const char *label;
	} parts[] = {
	        {1 << LP_TIME_WAIT, "TIME_WAIT"},
	        {1 << LP_ESTABLISHED, "established"},
	        {1 << LP_CLOSE_WAIT, "CLOSE_WAIT"},
	        {1 << LP_SYN_SENT | 1 << LP_SYN_RECV, "opening"},
	        {1 << LP_FIN_WAIT1 | 1 << LP_FIN_WAIT2 | 1 << LP_LAST_ACK | 1 << LP_CLOSING |
	                 1 << LP_CLOSE,
	         "closing"},
	};
	const char *before = "", *about = exact ? "" : style->about;
	char number[LP_FIGURE_TEXT];
	if (!total(group))
		lp_add(line, "%s%s opened", about, lp_text_count(group->opened, number));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t n = 0;
		for (unsigned state = 0; state < LP_STATES; state++)
			n += parts[i].states & 1U << state ? group->states[state] : 0;
		if (!n)
			continue;
		lp_add(line, "%s%s%s %s", before, about, lp_text_count(n, number), parts[i].label);
		before = ", ";
	}
}

static size_t room_of(const struct lp_style *style, size_t indent)
{
	return style->width > indent ? style->width - indent : 0;
}

static int put_line(const struct lp_style *style, FILE *out, size_t indent,
                    struct lp_sentence *line)
{
	char cut[NAMED];
	lp_text_clean(line->text, style->unicode);
	lp_text_shorten(line->text, room_of(style, indent), style->ellipsis, cut, sizeof(cut));
	return lp_put(out, "%*s%s\n", (int)indent, "", cut);
}

static void say_who(const struct group *group, bool sharing, struct lp_sentence *line)
{
	const struct lp_owner *first = group->first;
	const char *ended = first->ended ? ", ended" : "";
	char number[LP_FIGURE_TEXT];
	lp_add(line, "by %s ", *first->command ? first->command : "?");
	if (first->ended && group->n > 1)
		lp_add(line, "(%s processes%s)", lp_text_count(group->n, number), ended);
	else if (group->n > 1)
		lp_add(line, "(%d +%zu)", group->pid, group->n - 1);
	else
		lp_add(line, "(%d%s)", group->pid, ended);
	char cgroup[LP_CELL];
	lp_style_cgroup(first->cgroup, first->cgroup_id, cgroup);
	lp_add(line, "%s", cgroup);
	if (sharing)
		lp_add(line, ", shared with %" PRIu32 " more", group->sharing);
}

/* Figures stay whole; of who they are of, what does not fit is left out or cut. */
static int put_group(const struct lp_style *style, FILE *out, size_t indent, bool exact,
                     const struct group *group)
{
	struct lp_sentence who = {0}, figures = {0}, line = {0};
	char cut[NAMED];
	lp_add(&figures, ": ");
	say_figures(style, exact, &figures, group);
	size_t room = room_of(style, indent), taken = lp_text_width(figures.text);
	room = room > taken ? room - taken : 0;
	say_who(group, group->sharing > 0, &who);
	if (group->sharing && lp_text_width(who.text) > room) {
		who = (struct lp_sentence){0};
		say_who(group, false, &who);
	}
	lp_text_clean(who.text, style->unicode);
	lp_text_shorten(who.text, room, style->ellipsis, cut, sizeof(cut));
	lp_add(&line, "%s%s", cut, figures.text);
	return put_line(style, out, indent, &line);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int put_groups(const struct lp_style *style, FILE *out, size_t indent,
                      const struct lp_pool_owners *owners)
{
	struct group groups[GROUPS];
	char number[LP_FIGURE_TEXT];
	uint64_t rest;
	size_t n = make_groups(owners, groups, &rest);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = put_group(style, out, indent, owners->exact, &groups[i]);
	}
	if (r < 0 || !rest)
		return r;
	struct lp_sentence line = {0};
	lp_add(&line, "by others: %s%s", owners->exact ? "" : style->about,
	       lp_text_count(rest, number));
	return put_line(style, out, indent, &line);
}

static int put_unowned(const struct lp_style *style, FILE *out, size_t indent,
                       const struct lp_pool_owners *owners)
{
	int r = 0;
	for (int reason = 0; reason < LP_UNOWNED_REASONS && r == 0; reason++) {
		char number[LP_FIGURE_TEXT];
		struct lp_sentence line = {0};
		if (!owners->unowned[reason])
			continue;
		lp_add(&line, "not known by whom: %s%s %s (%s)", owners->exact ? "" : style->about,
		       lp_text_count(owners->unowned[reason], number),
		       lp_unowned_what((enum lp_unowned)reason),
		       lp_unowned_why((enum lp_unowned)reason));
		r = put_line(style, out, indent, &line);
	}
	return r;
}

int lp_owners_write(const struct lp_style *style, const struct lp_limit *limit, size_t indent,
                    FILE *out)
{
	const struct lp_pool_owners *owners =
	        limit->kind->of_pool ? lp_owners_of(style->report->snapshot, limit->pool) : NULL;
	if (!owners)
		return 0;
	int r = put_groups(style, out, indent, owners);
	return r < 0 ? r : put_unowned(style, out, indent, owners);
}
