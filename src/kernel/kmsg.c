/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/number.h"

/*
 * A record is a third of a microsecond, and the ring of a server 1 MiB or 10,000 records. So many
 * are read at once; they are 64 times the ring of a usual kernel.
 */
enum { RECORDS_MAX = 100000, MESSAGE = 1024 };

/* ---- one record: "4,7717,15338875495,-;nf_conntrack: table full\n KEY=value\n" ------------- */

struct record {
	uint64_t priority; /* facility * 8 + level */
	uint64_t sequence;
	uint64_t stamp_us;
	char message[MESSAGE]; /* decoded; cut where longer, which no line of ours is */
};

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* The first line, its "\x0a" made one byte. What follows are properties of a device. */
static void decode(const char *at, const char *end, char message[MESSAGE])
{
	size_t n = 0;
	while (at < end && *at != '\n' && n < MESSAGE - 1) {
		int high = -1, low = -1;
		if (end - at >= 4 && at[0] == '\\' && at[1] == 'x') {
			high = hex_digit(at[2]);
			low = hex_digit(at[3]);
		}
		bool escape = high >= 0 && low >= 0 && high + low > 0;
		message[n++] = *at;
		if (escape)
			message[n - 1] = (char)(unsigned char)(high * 16 + low);
		at += escape ? 4 : 1;
	}
	message[n] = '\0';
}

/* More fields may come before the semicolon, says Documentation/ABI/testing/dev-kmsg. */
static int parse_record(const char *text, size_t size, struct record *ret)
{
	char head[128];
	const char *semicolon = memchr(text, ';', size);
	if (!semicolon || (size_t)(semicolon - text) >= sizeof(head))
		return -EINVAL;
	memcpy(head, text, (size_t)(semicolon - text));
	head[semicolon - text] = '\0';
	uint64_t *const numbers[] = {&ret->priority, &ret->sequence, &ret->stamp_us};
	const char *at = head;
	for (size_t i = 0; i < 3; i++) {
		int r = lp_number_parse(&at, INT64_MAX, numbers[i]);
		if (r < 0 || (*at != ',' && (*at || i < 2)))
			return -EINVAL;
		at += *at == ',';
	}
	decode(semicolon + 1, text + size, ret->message);
	return 0;
}

/* ---- what it says -------------------------------------------------------------------------- */

/* The lines, by words that all versions of the kernel have had in common. */
static const struct pattern {
	const char *words;
	enum lp_log_what what;
} patterns[] = {
        {"nf_conntrack: table full", LP_LOG_CONNTRACK_FULL},
        {"time wait bucket table overflow", LP_LOG_TIME_WAIT},
        {"Possible SYN flooding on port ", LP_LOG_SYN_COOKIES},
        {"ip_local_port_range: prefer different parity", LP_LOG_RANGE_PARITY},
        {"Out of socket memory", LP_LOG_TCP_MEMORY},
        {"TCP: out of memory", LP_LOG_TCP_MEMORY},
        {"too many orphaned sockets", LP_LOG_ORPHANS},
        {"too many of orphaned sockets", LP_LOG_ORPHANS},
};

static void copy_subject(const char *from, size_t length, struct lp_log_entry *entry)
{
	size_t n = length < sizeof(entry->subject) ? length : sizeof(entry->subject) - 1;
	memcpy(entry->subject, from, n);
	entry->subject[n] = '\0';
}

/* "80. Sending cookies.", "127.0.0.1:80. …", "[::1]:80. …": up to the point before a blank. */
static void tell_flood(const char *at, struct lp_log_entry *entry)
{
	const char *end = strstr(at, ". ");
	copy_subject(at, end ? (size_t)(end - at) : strcspn(at, " "), entry);
	if (strstr(at, "Dropping request"))
		entry->what = LP_LOG_SYN_DROPS;
}

/* "table full in netns 4026532177, dropping packet": none named is the first one, or an old kernel
 */
static void tell_namespace(const char *at, struct lp_log_entry *entry)
{
	static const char words[] = "in netns ";
	const char *number = strstr(at, words);
	if (!number)
		return;
	number += strlen(words);
	uint64_t inode;
	if (lp_number_parse(&number, UINT32_MAX, &inode) == 0)
		entry->netns = inode;
}

/* "nf_ct_ftp: dropping packet: partial PORT": nf_ct_helper_log() */
static bool is_helper(const char *message, struct lp_log_entry *entry)
{
	static const char prefix[] = "nf_ct_", suffix[] = ": dropping packet";
	const char *name = strstr(message, prefix);
	const char *end = name ? strstr(name, suffix) : NULL;
	if (!end)
		return false;
	name += strlen(prefix);
	entry->what = LP_LOG_CONNTRACK_HELPER;
	copy_subject(name, (size_t)(end - name), entry);
	return true;
}

static bool match(const char *message, struct lp_log_entry *entry)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		const char *found = strstr(message, patterns[i].words);
		if (!found)
			continue;
		entry->what = patterns[i].what;
		if (entry->what == LP_LOG_CONNTRACK_FULL)
			tell_namespace(found, entry);
		if (entry->what == LP_LOG_SYN_COOKIES)
			tell_flood(found + strlen(patterns[i].words), entry);
		return true;
	}
	return is_helper(message, entry);
}

/* "net_ratelimit: 17 callbacks suppressed": the budget that the network's warnings share. */
static uint64_t suppressed(const char *message)
{
	static const char words[] = "net_ratelimit: ";
	uint64_t n;
	if (strncmp(message, words, strlen(words)) != 0)
		return 0;
	message += strlen(words);
	return lp_number_parse(&message, INT32_MAX, &n) == 0 && strstr(message, "suppressed") ? n
	                                                                                      : 0;
}

/* ---- the log ------------------------------------------------------------------------------- */

/* Once records were overwritten, the next number that comes tells how many. */
static void count_lost(struct lp_kmsg *kmsg, uint64_t sequence)
{
	if (kmsg->overrun && sequence > kmsg->next)
		kmsg->lost += sequence - kmsg->next;
	kmsg->overrun = false;
	kmsg->next = sequence + 1;
}

int lp_kmsg_take(struct lp_kmsg *kmsg, const char *record, ssize_t n, struct lp_log_entry *ret)
{
	if (n == -EPIPE)
		kmsg->overrun = true;
	if (n == -EPIPE || n == -EINTR || n == -EINVAL)
		return 0;
	if (n <= 0)
		return n ? (int)n : -EAGAIN;
	struct record read;
	if (parse_record(record, (size_t)n, &read) < 0)
		return 0;
	count_lost(kmsg, read.sequence);
	/* devkmsg_write() lets nobody else write as facility 0: what others say there is no sign */
	if (read.priority >= 8)
		return 0;
	kmsg->suppressed += suppressed(read.message);
	struct lp_log_entry entry = {.lines = 1};
	if (!match(read.message, &entry))
		return 0;
	entry.first_ms = entry.last_ms = kmsg->boot_ms + (int64_t)(read.stamp_us / 1000);
	*ret = entry;
	return 1;
}

/*
 * The log's clock is local_clock(): like CLOCK_MONOTONIC it stands while the machine sleeps, but no
 * time server steers it, so that it may be some seconds off after some days.
 */
static int64_t boot_ms(const struct lp_kernel *kernel)
{
	return lp_clock_wall_ms() - lp_kernel_ns(kernel) / 1000000;
}

int lp_kmsg_open(const struct lp_kernel *kernel, bool at_end, struct lp_kmsg *ret)
{
	*ret = LP_KMSG_NONE;
	if (kernel->root < 0)
		return -ENOENT;
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel->root, "dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || (at_end && lseek(fd, 0, SEEK_END) < 0))
		return lp_errno();
	ret->boot_ms = boot_ms(kernel);
	ret->fd = lp_take_fd(fd);
	return 0;
}

void lp_kmsg_close(struct lp_kmsg *kmsg)
{
	lp_close_fd(&kmsg->fd);
}

int lp_kmsg_next(struct lp_kmsg *kmsg, unsigned *records, struct lp_log_entry *ret)
{
	char record[LP_KMSG_RECORD];
	int r = 0;
	for (; r == 0 && *records; --*records) {
		ssize_t n = read(kmsg->fd, record, sizeof(record));
		r = lp_kmsg_take(kmsg, record, n < 0 ? lp_errno() : n, ret);
	}
	return r == -EAGAIN ? 0 : r;
}

void lp_kmsg_read(const struct lp_kernel *kernel, struct lp_log *log)
{
	_cleanup_(lp_kmsg_close) struct lp_kmsg kmsg = LP_KMSG_NONE;
	struct lp_log_entry entry;
	unsigned records = RECORDS_MAX;
	int r = lp_kmsg_open(kernel, false, &kmsg);
	if (r == 0)
		while ((r = lp_kmsg_next(&kmsg, &records, &entry)) > 0)
			lp_log_add(log, &entry);
	log->read = r == 0;
	log->error = r;
	log->cut = !records;
	log->suppressed = kmsg.suppressed;
	log->lost = kmsg.lost;
}
