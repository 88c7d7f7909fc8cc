/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "base/utf8.h"
#include "kernel/kernel.h"
#include "kernel/text.h"

int lp_file_nr_parse(const char *text, struct lp_machine *machine)
{
	uint64_t n[3]; /* allocated, free (0 since 2.6), max */
	int r = lp_number_list(text, UINT64_MAX, n, 3);
	if (r < 0)
		return r;
	if (n[1] > n[0])
		return -EINVAL;
	machine->file_allocated = lp_figure(n[0] - n[1]);
	machine->file_max = lp_figure(n[2]);
	return 0;
}

int lp_tcp_mem_parse(const char *text, struct lp_machine *machine)
{
	uint64_t n[3]; /* low, pressure, max, in pages */
	int r = lp_number_list(text, UINT64_MAX, n, 3);
	if (r < 0)
		return r;
	machine->tcp_pages_pressure = lp_figure(n[1]);
	machine->tcp_pages_max = lp_figure(n[2]);
	return 0;
}

static int gap(const struct lp_kernel *kernel, struct lp_snapshot *snapshot, const char *path,
               int r)
{
	/* net/ipv4/sysctl_net_ipv4.c: ipv4_table is registered in the first namespace only */
	bool others = strncmp(path, "sys/net/", 8) == 0 &&
	              faccessat(kernel->proc, "sys/net/ipv4/ip_local_port_range", F_OK, 0) == 0;
	return lp_text_must(snapshot, "machine", 0, path, r,
	                    others ? ": only in the first network namespace" : "");
}

static int read_triple(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                       const char *path, int (*parse)(const char *, struct lp_machine *))
{
	char buf[LP_TEXT_SMALL];
	ssize_t n = lp_read_line(kernel->proc, path, buf, sizeof(buf));
	int r = n < 0 ? (int)n : parse(buf, &snapshot->machine);
	return r < 0 ? gap(kernel, snapshot, path, r) : 0;
}

static int read_max_orphans(const struct lp_kernel *kernel, struct lp_snapshot *snapshot)
{
	static const char path[] = "sys/net/ipv4/tcp_max_orphans";
	uint64_t n;
	int r = lp_read_number(kernel->proc, path, INT32_MAX, &n);
	if (r < 0)
		return gap(kernel, snapshot, path, r);
	snapshot->machine.max_orphans = lp_figure(n);
	return 0;
}

/*
 * What one object takes, its slab's padding included. A cache merged with others is a link to the
 * one that they share, whose size it has. Only root may read it, and not every kernel has it: it
 * is detail, and missing is no gap.
 */
static struct lp_figure read_slab_size(const struct lp_kernel *kernel, const char *path)
{
	uint64_t n;
	if (kernel->sys < 0 || lp_read_number(kernel->sys, path, UINT32_MAX, &n) < 0)
		return (struct lp_figure){0};
	return lp_figure(n);
}

static void read_names(struct lp_machine *machine)
{
	struct utsname names;
	if (uname(&names) < 0)
		return;
	(void)snprintf(machine->kernel, sizeof(machine->kernel), "%s", names.release);
	(void)snprintf(machine->host, sizeof(machine->host), "%s", names.nodename);
	lp_utf8_clean(machine->kernel);
	lp_utf8_clean(machine->host);
}

/* For advice alone: missing is no gap. */
static void read_nr_open(const struct lp_kernel *kernel, struct lp_machine *machine)
{
	uint64_t n;
	if (lp_read_number(kernel->proc, "sys/fs/nr_open", UINT64_MAX, &n) == 0)
		machine->nr_open = lp_figure(n);
}

int lp_machine_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot)
{
	struct lp_machine *machine = &snapshot->machine;
	read_names(machine);
	read_nr_open(kernel, machine);
	struct timespec tick;
	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0)
		machine->tick_us = lp_figure((uint64_t)tick.tv_nsec / 1000);
	long page = sysconf(_SC_PAGESIZE);
	if (page > 0)
		machine->page_size = lp_figure((uint64_t)page);
	machine->time_wait_size = read_slab_size(kernel, "kernel/slab/tw_sock_TCP/slab_size");
	machine->bind_bucket_size = read_slab_size(kernel, "kernel/slab/tcp_bind_bucket/slab_size");
	int r = read_triple(kernel, snapshot, "sys/fs/file-nr", lp_file_nr_parse);
	if (r == 0)
		r = read_triple(kernel, snapshot, "sys/net/ipv4/tcp_mem", lp_tcp_mem_parse);
	if (r == 0)
		r = read_max_orphans(kernel, snapshot);
	return r;
}
