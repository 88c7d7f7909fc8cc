/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "base/number.h"
#include "kernel/kernel.h"
#include "kernel/text.h"

/* The words of "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 251" that are of use. */
struct word {
	const char *name;
	struct lp_figure *figure;
};

/* What follows `label` at the start of a line; NULL if no line starts so. */
static const char *find_line(const char *text, const char *label)
{
	size_t length = strlen(label);
	while (text && strncmp(text, label, length) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + length : NULL;
}

static struct lp_figure *find_word(const struct word *words, size_t n, const char *name,
                                   size_t length)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(words[i].name) == length && !strncmp(words[i].name, name, length))
			return words[i].figure;
	return NULL;
}

/* " name number" again and again up to the newline: without it the line is torn. */
static int parse_words(const char *at, const struct word *words, size_t n)
{
	while (*at == ' ') {
		const char *name = ++at;
		at += strcspn(at, " \n");
		struct lp_figure *figure = find_word(words, n, name, (size_t)(at - name));
		uint64_t value;
		if (*at++ != ' ')
			return -EINVAL;
		int r = lp_number_parse(&at, UINT64_MAX, &value);
		if (r < 0)
			return r;
		if (figure)
			*figure = lp_figure(value);
	}
	return *at == '\n' ? 0 : -EINVAL;
}

/* "sockets: used 8"; unknown where it is not there or torn. */
static struct lp_figure parse_used(const char *text)
{
	struct lp_figure used = {0};
	const struct word words[] = {{"used", &used}};
	const char *line = find_line(text, "sockets:");
	return line && parse_words(line, words, 1) == 0 ? used : (struct lp_figure){0};
}

int lp_sockstat_parse(const char *text, struct lp_netns *netns, struct lp_machine *machine)
{
	struct lp_figure in_use = {0}, orphans = {0}, time_wait = {0}, allocated = {0}, pages = {0};
	const struct word words[] = {
	        {"inuse", &in_use},    {"orphan", &orphans}, {"tw", &time_wait},
	        {"alloc", &allocated}, {"mem", &pages},
	};
	const char *line = find_line(text, "TCP:");
	int r = line ? parse_words(line, words, sizeof(words) / sizeof(words[0])) : -EINVAL;
	if (r < 0)
		return r;
	netns->in_use4 = in_use;
	netns->time_wait = time_wait;
	netns->sockets_used = parse_used(text);
	machine->orphans = orphans;
	machine->tcp_allocated = allocated;
	machine->tcp_pages = pages;
	return 0;
}

int lp_sockstat6_parse(const char *text, struct lp_netns *netns)
{
	struct lp_figure in_use = {0};
	const struct word words[] = {{"inuse", &in_use}};
	const char *line = find_line(text, "TCP6:");
	int r = line ? parse_words(line, words, 1) : -EINVAL;
	if (r < 0)
		return r;
	netns->in_use6 = in_use;
	return 0;
}

int lp_sockstat_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                     struct lp_netns *netns)
{
	static const char path[] = "thread-self/net/sockstat",
	                  path6[] = "thread-self/net/sockstat6";
	char buf[LP_TEXT_SMALL];
	ssize_t n = lp_read_text(kernel->proc, path, buf, sizeof(buf));
	int r = n < 0 ? (int)n : lp_sockstat_parse(buf, netns, &snapshot->machine);
	r = lp_text_gap(snapshot, "sockstat", netns->inode, path, r);
	if (r < 0)
		return r;
	n = lp_read_text(kernel->proc, path6, buf, sizeof(buf));
	r = n < 0 ? (int)n : lp_sockstat6_parse(buf, netns);
	return lp_text_gap(snapshot, "sockstat", netns->inode, path6, r);
}
