/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/netstat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "kernel/text.h"

/* TcpExt alone has 135 names of about 16 letters, and as many figures of up to 20 digits. */
enum { TEXT = 16 * 1024 };

static const struct lp_tcp_counter *counter_called(const char *table, const char *name,
                                                   size_t length)
{
	for (size_t i = 0; i < LP_TCP_COUNTERS; i++) {
		const struct lp_tcp_counter *counter = &lp_tcp_counter_list[i];
		if (!strncmp(table, counter->table, strlen(counter->table)) &&
		    strlen(counter->name) == length && !strncmp(counter->name, name, length))
			return counter;
	}
	return NULL;
}

/* One figure. Some columns, which are of no use here, are signed: Tcp's MaxConn is -1. */
static int parse_figure(const char **text, uint64_t *ret)
{
	*text += **text == '-';
	return lp_number_parse(text, UINT64_MAX, ret);
}

/* Where the table's figures begin: the same word again on the line after the names. */
static const char *find_figures(const char *table, size_t word)
{
	const char *line = strchr(table, '\n');
	return line && !strncmp(table, line + 1, word) ? line + 1 + word : NULL;
}

/* Two lines, column by column. Moves behind them, and counts what it knows. */
static int parse_table(const char **text, struct lp_tcp_counters *counters, size_t *found)
{
	const char *table = *text;
	size_t word = strcspn(table, " \n");
	const char *name = table + word, *at = find_figures(table, word);
	if (!word || !at)
		return -EINVAL;
	while (*name == ' ' && *at == ' ') {
		size_t length = strcspn(++name, " \n");
		const struct lp_tcp_counter *counter = counter_called(table, name, length);
		uint64_t value;
		at++;
		int r = parse_figure(&at, &value);
		if (r < 0)
			return r;
		if (counter)
			*lp_tcp_figure(counters, counter) = lp_figure(value);
		*found += counter != NULL;
		name += length;
	}
	*text = at + 1;
	return *name == '\n' && *at == '\n' ? 0 : -EINVAL;
}

int lp_netstat_parse(const char *text, struct lp_tcp_counters *counters)
{
	struct lp_tcp_counters read = *counters;
	size_t found = 0;
	int r = 0;
	while (r == 0 && *text)
		r = parse_table(&text, &read, &found);
	if (r == 0 && !found)
		r = -EINVAL;
	if (r == 0)
		*counters = read;
	return r;
}

static int read_file(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                     struct lp_netns *netns, const char *path)
{
	char text[TEXT];
	ssize_t n = lp_read_text(kernel->proc, path, text, sizeof(text));
	int r = n < 0 ? (int)n : lp_netstat_parse(text, &netns->tcp_counters);
	return lp_text_gap(snapshot, "counters", netns->inode, path, r);
}

int lp_netstat_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                    struct lp_netns *netns)
{
	int r = read_file(kernel, snapshot, netns, "thread-self/net/netstat");
	return r < 0 ? r : read_file(kernel, snapshot, netns, "thread-self/net/snmp");
}
