/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * /proc/net/nf_conntrack, one entry a line (ct_seq_show() in nf_conntrack_standalone.c):
 *
 *	ipv4     2 tcp      6 86389 ESTABLISHED src=10.1.0.3 dst=10.9.1.2 sport=20408 dport=443
 *	src=10.9.1.2 dst=10.1.0.3 sport=443 dport=20408 [ASSURED] mark=0 zone=0 use=2
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "kernel/conntrack_dump.h"

/* The next word, of `length` bytes; NULL at the end. Moves behind it. */
static const char *next_word(const char **at, size_t *length)
{
	const char *word = *at + strspn(*at, " ");
	*length = strcspn(word, " ");
	*at = word + *length;
	return *length ? word : NULL;
}

static bool is_word(const char *word, size_t length, const char *wanted)
{
	return word && strlen(wanted) == length && !strncmp(word, wanted, length);
}

static int next_number(const char **at, uint64_t max, uint64_t *ret)
{
	*at += strspn(*at, " ");
	return lp_number_parse(at, max, ret);
}

/* What follows "NAME=" in the word; NULL where it has another name. */
static const char *value_of(const char *word, size_t length, const char *name)
{
	size_t n = strlen(name);
	return length > n && word[n] == '=' && !strncmp(word, name, n) ? word + n + 1 : NULL;
}

static bool take_address(int family, const char *text, const char *end, uint8_t ret[16])
{
	char copy[INET6_ADDRSTRLEN];
	size_t length = (size_t)(end - text);
	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return inet_pton(family, copy, ret) == 1;
}

static bool take_port(const char *text, uint16_t *ret)
{
	uint64_t port;
	if (lp_number_parse(&text, UINT16_MAX, &port) < 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* A word of one of the two tuples, whose "src=" comes first. False: it is malformed. */
static bool take_tuple_word(struct lp_conntrack_entry *entry, int *tuples, const char *word,
                            size_t length)
{
	const char *value, *end = word + length;
	struct lp_conntrack_tuple *tuple = *tuples > 1 ? &entry->reply : &entry->original;
	if ((value = value_of(word, length, "src"))) {
		tuple = ++*tuples > 1 ? &entry->reply : &entry->original;
		return take_address(entry->family, value, end, tuple->from);
	}
	if ((value = value_of(word, length, "dst")))
		return take_address(entry->family, value, end, tuple->to);
	if ((value = value_of(word, length, "sport")))
		return take_port(value, &tuple->from_port);
	if ((value = value_of(word, length, "dport")))
		return take_port(value, &tuple->to_port);
	return true;
}

static uint8_t state_called(const char *word, size_t length)
{
	static const char *const names[LP_CT_STATES] = {
	        "NONE",       "SYN_SENT", "SYN_RECV",  "ESTABLISHED", "FIN_WAIT",
	        "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",       "SYN_SENT2",
	};
	uint8_t state = 0;
	while (state < LP_CT_STATES && !is_word(word, length, names[state]))
		state++;
	return state;
}

/* The fixed words before the tuples: family, protocol and their numbers, the time left. */
static int take_head(const char **at, struct lp_conntrack_entry *entry)
{
	uint64_t n;
	size_t length;
	const char *word = next_word(at, &length);
	bool four = is_word(word, length, "ipv4");
	if (!four && !is_word(word, length, "ipv6"))
		return -EINVAL;
	entry->family = four ? AF_INET : AF_INET6;
	if (next_number(at, UINT8_MAX, &n) < 0 || !next_word(at, &length) ||
	    next_number(at, UINT8_MAX, &n) < 0)
		return -EINVAL;
	entry->protocol = (uint8_t)n;
	/* what a flow table took over has no time */
	const char *before = *at;
	if (next_number(at, UINT32_MAX, &n) == 0)
		entry->left_s = (uint32_t)n;
	else
		*at = before;
	return 0;
}

static void derive_status(struct lp_conntrack_entry *entry)
{
	if (memcmp(entry->reply.to, entry->original.from, sizeof(entry->reply.to)) != 0 ||
	    entry->reply.to_port != entry->original.from_port)
		entry->status |= LP_CT_SRC_NAT;
}

int lp_conntrack_parse_line(const char *line, struct lp_conntrack_entry *ret)
{
	const char *word;
	size_t length;
	int tuples = 0;
	memset(ret, 0, sizeof(*ret));
	ret->status = LP_CT_SEEN_REPLY;
	if (take_head(&line, ret) < 0)
		return -EINVAL;
	for (bool first = true; (word = next_word(&line, &length)); first = false) {
		if (first && ret->protocol == IPPROTO_TCP && *word >= 'A' && *word <= 'Z')
			ret->state = state_called(word, length);
		else if (is_word(word, length, "[UNREPLIED]"))
			ret->status &= ~(uint32_t)LP_CT_SEEN_REPLY;
		else if (is_word(word, length, "[ASSURED]") || is_word(word, length, "[OFFLOAD]") ||
		         is_word(word, length, "[HW_OFFLOAD]"))
			ret->status |= LP_CT_ASSURED;
		else if (!take_tuple_word(ret, &tuples, word, length))
			return -EINVAL;
	}
	derive_status(ret);
	return tuples == 2 ? 0 : -EINVAL;
}

int lp_conntrack_read_text(const struct lp_kernel *kernel, const struct lp_conntrack_filter *filter,
                           lp_conntrack_function function, void *context)
{
	_cleanup_(lp_free_ptr) char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int fd = openat(kernel->proc, "thread-self/net/nf_conntrack", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lp_errno();
	_cleanup_(lp_close_file) FILE *file = fdopen(fd, "r");
	if (!file) {
		lp_close_fd(&fd);
		return -ENOMEM;
	}
	while ((length = getline(&line, &room, file)) > 0) {
		struct lp_conntrack_entry entry;
		if (line[length - 1] != '\n')
			return -EINVAL;
		line[length - 1] = '\0';
		int r = lp_conntrack_parse_line(line, &entry);
		if (r < 0)
			return r;
		if ((entry.status & filter->mask) == filter->status)
			function(&entry, context);
	}
	return ferror(file) ? -EIO : 0;
}
