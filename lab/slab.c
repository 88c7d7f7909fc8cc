/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/slab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

static const char *const wanted[] = {
        "TCP", "tw_sock_TCP", "tcp_bind_bucket", "tcp_bind2_bucket", "sock_inode_cache",
};
enum {
	WANTED = sizeof(wanted) / sizeof(*wanted),
	AGREE_BYTES = 128 * 1024,
	LOOK_EVERY_MS = 50,
};

/* What a cache of this name really is: its own, or the one that it was merged with. */
static void real_name(const char *name, char ret[LAB_SLAB_NAME])
{
	char path[LAB_SLAB_NAME + 32], target[LAB_SLAB_NAME];
	(void)snprintf(path, sizeof(path), "/sys/kernel/slab/%s", name);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n > 0)
		target[n] = '\0';
	(void)snprintf(ret, LAB_SLAB_NAME, "%s", n > 0 ? target : name);
}

static bool is_wanted(const char *name)
{
	char real[LAB_SLAB_NAME], other[LAB_SLAB_NAME];
	real_name(name, real);
	for (unsigned i = 0; i < WANTED; i++) {
		real_name(wanted[i], other);
		if (!strcmp(real, other))
			return true;
	}
	return false;
}

struct row {
	char name[LAB_SLAB_NAME];
	long long active, size;
};

/* One row. False for the two of the heading. */
static bool parse_row(const char *line, struct row *row)
{
	return line[0] != '#' &&
	       sscanf(line, "%63s %lld %*d %lld", row->name, &row->active, &row->size) == 3;
}

static int find_caches(struct lab_slab *slab)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/slabinfo", "re");
	if (!file)
		return lp_errno();
	char line[512];
	struct row row;
	while (slab->n < LAB_SLAB_CACHES && fgets(line, sizeof(line), file))
		if (parse_row(line, &row) && is_wanted(row.name))
			memcpy(slab->caches[slab->n++], row.name, sizeof(row.name));
	return slab->n ? 0 : -ENODATA;
}

int lab_slab_find(struct lab_slab *ret)
{
	struct lab_slab slab = {0};
	slab.exact = find_caches(&slab) == 0;
	int64_t bytes = lab_slab_bytes(&slab);
	if (bytes < 0)
		return (int)bytes;
	*ret = slab;
	return 0;
}

static int64_t bytes_of_caches(const struct lab_slab *slab)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/slabinfo", "re");
	if (!file)
		return lp_errno();
	char line[512];
	struct row row;
	int64_t sum = 0;
	while (fgets(line, sizeof(line), file)) {
		if (!parse_row(line, &row))
			continue;
		for (unsigned i = 0; i < slab->n; i++)
			sum += strcmp(slab->caches[i], row.name) ? 0 : row.active * row.size;
	}
	return sum;
}

int64_t lab_slab_object(const char *cache)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/slabinfo", "re");
	if (!file)
		return lp_errno();
	char line[512], wanted_name[LAB_SLAB_NAME], name[LAB_SLAB_NAME];
	real_name(cache, wanted_name);
	struct row row;
	while (fgets(line, sizeof(line), file)) {
		if (!parse_row(line, &row))
			continue;
		real_name(row.name, name);
		if (!strcmp(name, wanted_name))
			return row.size;
	}
	return -ENOENT;
}

static int64_t bytes_of_all(void)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/meminfo", "re");
	if (!file)
		return lp_errno();
	char line[256];
	long long kib;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %lld kB", &kib) == 1)
			return kib * 1024;
	return -ENODATA;
}

int64_t lab_slab_bytes(const struct lab_slab *slab)
{
	return slab->exact ? bytes_of_caches(slab) : bytes_of_all();
}

int lab_slab_settle(const struct lab_slab *slab, int timeout_ms, int64_t *ret)
{
	int64_t deadline = lp_clock_ns() + timeout_ms * INT64_C(1000000);
	int64_t before, now = lab_slab_bytes(slab);
	bool quiet;
	do {
		before = now;
		lp_clock_sleep_ms(LOOK_EVERY_MS);
		now = lab_slab_bytes(slab);
		quiet = llabs(now - before) <= AGREE_BYTES;
	} while (now >= 0 && !quiet && lp_clock_ns() < deadline);
	if (now < 0)
		return (int)now;
	*ret = now;
	return quiet ? 0 : -ETIMEDOUT;
}
