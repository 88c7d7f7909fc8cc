/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "kernel/scan.h"

enum {
	PF_KTHREAD = 0x00200000, /* include/linux/sched.h, the same since 2.6.27 */
	/* fields of /proc/PID/stat counted from the state, which is the third */
	STAT_FLAGS = 9 - 3,
	STAT_THREADS = 20 - 3,
	STAT_START = 22 - 3,
};

/* Skips n blank-separated words. */
static const char *skip_words(const char *text, unsigned n)
{
	while (n--) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

int lp_stat_parse(const char *text, struct lp_stat *ret)
{
	/* the command may hold any byte, brackets too: the last one ends it */
	const char *at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] < 'A' || at[2] > 'z' || at[3] != ' ')
		return -EINVAL;
	const char *state = at + 2;
	const char *flags_at = skip_words(state, STAT_FLAGS);
	const char *threads_at = skip_words(flags_at, STAT_THREADS - STAT_FLAGS);
	const char *start_at = skip_words(threads_at, STAT_START - STAT_THREADS);
	uint64_t flags, threads, start = 0;
	if (lp_number_parse(&flags_at, UINT32_MAX, &flags) < 0 || *flags_at != ' ' ||
	    lp_number_parse(&threads_at, UINT32_MAX, &threads) < 0 || *threads_at != ' ')
		return -EINVAL;
	/* the last of these: a text that ends before it is no worse for the rest */
	if (lp_number_parse(&start_at, UINT64_MAX, &start) < 0)
		start = 0;
	*ret = (struct lp_stat){
	        .state = *state,
	        .kernel_thread = flags & PF_KTHREAD,
	        .threads = threads,
	        .start = start,
	};
	return 0;
}

/* What follows `label` and blanks at the start of a line; NULL if none starts so. */
static const char *find_value(const char *text, const char *label)
{
	size_t length = strlen(label);
	while (strncmp(text, label, length) != 0) {
		text = strchr(text, '\n');
		if (!text)
			return NULL;
		text++;
	}
	text += length;
	return text + strspn(text, " \t");
}

/* Takes a limit and the blank behind it. */
static int take_limit(const char **at, uint64_t *ret)
{
	static const char unlimited[] = "unlimited ";
	uint64_t n = UINT64_MAX;
	*at += strspn(*at, " ");
	if (!strncmp(*at, unlimited, strlen(unlimited)))
		*at += strlen(unlimited) - 1;
	else if (lp_number_parse(at, UINT64_MAX, &n) < 0 || **at != ' ')
		return -EINVAL;
	*ret = n;
	return 0;
}

int lp_limits_parse(const char *text, uint64_t *soft, uint64_t *hard)
{
	const char *at = find_value(text, "Max open files ");
	uint64_t first, second;
	if (!at || take_limit(&at, &first) < 0 || take_limit(&at, &second) < 0)
		return -EINVAL;
	*soft = first;
	*hard = second;
	return 0;
}

int lp_fd_size_parse(const char *text, uint64_t *ret)
{
	const char *at = find_value(text, "FDSize:");
	uint64_t n;
	if (!at || lp_number_parse(&at, UINT32_MAX, &n) < 0 || *at != '\n')
		return -EINVAL;
	*ret = n;
	return 0;
}

/* The seconds may be below 0; the nanoseconds behind them are added even so. */
static int parse_offset(const char *text, const char *clock, int64_t *ret)
{
	enum { NS = 1000000000 };
	static const uint64_t most_s = INT64_MAX / NS - 1;
	const char *at = find_value(text, clock);
	uint64_t s, ns;
	if (!at)
		return -EINVAL;
	bool below = *at == '-';
	at += below;
	if (lp_number_parse(&at, most_s, &s) < 0 || *at != ' ')
		return -EINVAL;
	at += strspn(at, " ");
	if (lp_number_parse(&at, NS - 1, &ns) < 0 || *at != '\n')
		return -EINVAL;
	*ret = (below ? -(int64_t)s : (int64_t)s) * NS + (int64_t)ns;
	return 0;
}

int lp_timens_parse(const char *text, struct lp_timens *ret)
{
	struct lp_timens read;
	if (parse_offset(text, "monotonic ", &read.monotonic_ns) < 0 ||
	    parse_offset(text, "boottime ", &read.boottime_ns) < 0)
		return -EINVAL;
	*ret = read;
	return 0;
}

int lp_netns_link_parse(const char *text, uint64_t *ret)
{
	static const char start[] = "net:[";
	uint64_t n;
	if (strncmp(text, start, strlen(start)) != 0)
		return -EINVAL;
	text += strlen(start);
	if (lp_number_parse(&text, UINT64_MAX, &n) < 0 || strcmp(text, "]") != 0)
		return -EINVAL;
	*ret = n;
	return 0;
}
