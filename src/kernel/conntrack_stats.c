/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/conntrack_stats.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/ctnetlink.h"
#include "kernel/text.h"

/* Each counter, what ctnetlink calls it and what the text does. */
static const struct counter {
	size_t place;
	uint16_t attribute;
	const char *name;
} counters[] = {
#define COUNTER(member, attribute, name)                                        \
	{                                                                       \
		offsetof(struct lp_conntrack_counters, member), attribute, name \
	}
        COUNTER(found, CTA_STATS_FOUND, "found"),
        COUNTER(invalid, CTA_STATS_INVALID, "invalid"),
        COUNTER(insert, CTA_STATS_INSERT, "insert"),
        COUNTER(insert_failed, CTA_STATS_INSERT_FAILED, "insert_failed"),
        COUNTER(drop, CTA_STATS_DROP, "drop"),
        COUNTER(early_drop, CTA_STATS_EARLY_DROP, "early_drop"),
        COUNTER(error, CTA_STATS_ERROR, "icmp_error"),
        COUNTER(search_restart, CTA_STATS_SEARCH_RESTART, "search_restart"),
        COUNTER(clash_resolve, CTA_STATS_CLASH_RESOLVE, "clashres"),
        COUNTER(chain_too_long, CTA_STATS_CHAIN_TOOLONG, "chainlength"),
#undef COUNTER
};
enum { COUNTERS = sizeof(counters) / sizeof(counters[0]), COLUMNS = 32, TEXT = 256 * 1024 };

static void add(struct lp_conntrack_counters *sum, const struct counter *counter, uint64_t n)
{
	struct lp_figure *figure = (struct lp_figure *)((char *)sum + counter->place);
	*figure = lp_figure(figure->n + n);
}

/* ---- ctnetlink ----------------------------------------------------------------------------- */

int lp_conntrack_stats_take(const struct nlmsghdr *header, void *context,
                            struct lp_netlink_result *result)
{
	struct lp_conntrack_counters *sum = context;
	if (!lp_ctnetlink_is(header, IPCTNL_MSG_CT_GET_STATS_CPU, result))
		return 0;
	struct lp_ctnetlink_attributes attributes = lp_ctnetlink_attributes(header);
	uint32_t n;
	for (size_t i = 0; i < COUNTERS; i++)
		if (lp_ctnetlink_u32(attributes.of[counters[i].attribute], &n))
			add(sum, &counters[i], n);
	return 0;
}

/* Once more where the answer was cut off: it is short, and nothing in it can be half true. */
static int ask(struct lp_conntrack_counters *ret)
{
	_Alignas(8) char buffer[64];
	struct lp_netlink_result result = {0};
	_cleanup_(lp_close_fd) int fd = lp_ctnetlink_open();
	if (fd < 0)
		return fd;
	struct lp_conntrack_counters sum = {0};
	int r = lp_netlink_ask(
	        fd,
	        lp_ctnetlink_request(buffer, IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP, AF_UNSPEC, 1),
	        lp_conntrack_stats_take, &sum, &result);
	if (r == 0 && (result.interrupted || result.truncated || !sum.drop.known))
		r = -EBADMSG;
	if (r == 0)
		*ret = sum;
	return r;
}

/* ---- the text ------------------------------------------------------------------------------ */

static const struct counter *counter_called(const char *name, size_t length)
{
	for (size_t i = 0; i < COUNTERS; i++)
		if (strlen(counters[i].name) == length && !strncmp(counters[i].name, name, length))
			return &counters[i];
	return NULL;
}

/* The names of the columns; NULL for one that is of no use. Moves behind the newline. */
static int parse_names(const char **text, const struct counter *columns[COLUMNS], size_t *n)
{
	const char *at = *text;
	for (*n = 0; *n < COLUMNS; (*n)++) {
		at += strspn(at, " ");
		size_t length = strcspn(at, " \n");
		if (!length)
			break;
		columns[*n] = counter_called(at, length);
		at += length;
	}
	if (*at != '\n' || *n == 0)
		return -EINVAL;
	*text = at + 1;
	return 0;
}

/* Blanks and a hexadecimal number of at most 16 digits. */
static int parse_hex(const char **text, uint64_t *ret)
{
	enum { DIGITS = 16, BASE = 16 };
	const char *at = *text + strspn(*text, " ");
	size_t length = strspn(at, "0123456789abcdef");
	if (!length || length > DIGITS)
		return -EINVAL;
	*ret = strtoull(at, NULL, BASE);
	*text = at + length;
	return 0;
}

/* One CPU's line: as many figures as there are names. */
static int parse_row(const char **text, const struct counter *const columns[COLUMNS], size_t n,
                     struct lp_conntrack_counters *sum)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value;
		int r = parse_hex(text, &value);
		if (r < 0)
			return r;
		if (columns[i])
			add(sum, columns[i], value);
	}
	*text += strspn(*text, " ");
	return *(*text)++ == '\n' ? 0 : -EINVAL;
}

int lp_conntrack_stats_parse(const char *text, struct lp_conntrack_counters *ret)
{
	const struct counter *columns[COLUMNS];
	size_t n;
	struct lp_conntrack_counters sum = {0};
	int r = parse_names(&text, columns, &n);
	if (r == 0 && !*text)
		r = -EINVAL;
	while (r == 0 && *text)
		r = parse_row(&text, columns, n, &sum);
	if (r == 0 && !sum.drop.known)
		r = -EINVAL;
	if (r == 0)
		*ret = sum;
	return r;
}

/* ---- either -------------------------------------------------------------------------------- */

/* Missing wherever the kernel was built without CONFIG_NF_CONNTRACK_PROCFS. */
static int read_text(const struct lp_kernel *kernel, struct lp_conntrack_counters *ret)
{
	_cleanup_(lp_free_ptr) char *text = malloc(TEXT);
	if (!text)
		return -ENOMEM;
	ssize_t n = lp_read_text(kernel->proc, "thread-self/net/stat/nf_conntrack", text, TEXT);
	return n < 0 ? (int)n : lp_conntrack_stats_parse(text, ret);
}

int lp_conntrack_stats_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                            struct lp_netns *netns)
{
	struct lp_conntrack_counters *counters_of = &netns->conntrack_counters;
	int asked = ask(counters_of);
	if (asked == 0 || asked == -ENOMEM)
		return asked;
	int r = read_text(kernel, counters_of);
	if (r == 0 || r == -ENOMEM)
		return r;
	return lp_snapshot_gap(snapshot, "conntrack", netns->inode,
	                       "counters: ctnetlink: %s; /proc/net/stat/nf_conntrack: %s",
	                       strerror(-asked), strerror(-r));
}
