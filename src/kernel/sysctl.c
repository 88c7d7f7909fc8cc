/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/kernel.h"
#include "kernel/text.h"

enum { DEFAULT_REUSE_DELAY_MS = 1000 };

static int read_figures(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                        struct lp_netns *netns)
{
	const struct {
		const char *path;
		uint64_t max;
		struct lp_figure *figure;
	} sysctls[] = {
	        {"sys/net/ipv4/tcp_tw_reuse", UINT8_MAX, &netns->tw_reuse},
	        {"sys/net/ipv4/tcp_tw_reuse_delay", UINT32_MAX, &netns->tw_reuse_delay_ms},
	        {"sys/net/ipv4/tcp_timestamps", UINT8_MAX, &netns->timestamps},
	        {"sys/net/ipv4/tcp_max_tw_buckets", INT32_MAX, &netns->max_tw_buckets},
	        {"sys/net/ipv4/tcp_syncookies", UINT8_MAX, &netns->syncookies},
	        {"sys/net/ipv4/tcp_max_syn_backlog", INT32_MAX, &netns->max_syn_backlog},
	        {"sys/net/netfilter/nf_conntrack_max", INT32_MAX, &netns->conntrack_max},
	        {"sys/net/netfilter/nf_conntrack_buckets", INT32_MAX, &netns->conntrack_buckets},
	        {"sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait", UINT32_MAX,
	         &netns->conntrack_time_wait_s},
	        {"sys/net/core/somaxconn", INT32_MAX, &netns->somaxconn},
	};
	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		uint64_t n;
		int r = lp_read_number(kernel->proc, sysctls[i].path, sysctls[i].max, &n);
		if (r == 0)
			*sysctls[i].figure = lp_figure(n);
		r = lp_text_gap(snapshot, "sysctls", netns->inode, sysctls[i].path, r);
		if (r < 0)
			return r;
	}
	return 0;
}

int lp_sysctl_entries(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                      struct lp_netns *netns)
{
	static const char path[] = "sys/net/netfilter/nf_conntrack_count";
	uint64_t n;
	int r = lp_read_number(kernel->proc, path, INT32_MAX, &n);
	if (r == 0)
		netns->conntrack_entries = lp_figure(n);
	return lp_text_gap(snapshot, "sysctls", netns->inode, path, r);
}

static int read_range(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                      struct lp_netns *netns)
{
	static const char path[] = "sys/net/ipv4/ip_local_port_range";
	char buf[LP_TEXT_SMALL];
	uint32_t low, high;
	ssize_t n = lp_read_line(kernel->proc, path, buf, sizeof(buf));
	int r = n < 0 ? (int)n : lp_range_parse(buf, &low, &high);
	if (r == 0) {
		netns->range_low = lp_figure(low);
		netns->range_high = lp_figure(high);
	}
	/* in every namespace of every kernel, but where /proc/sys is hidden */
	return lp_text_must(snapshot, "sysctls", netns->inode, path, r, "");
}

static int read_reserved(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                         struct lp_netns *netns, struct lp_port_map *reserved)
{
	static const char path[] = "sys/net/ipv4/ip_local_reserved_ports";
	_cleanup_(lp_free_ptr) char *text = NULL;
	ssize_t n = lp_read_long_line(kernel->proc, path, &text);
	int r = n < 0 ? (int)n : lp_port_list_parse(text, reserved);
	if (r == 0 && netns->range_low.known)
		netns->reserved = lp_port_count(reserved, (uint32_t)netns->range_low.n,
		                                (uint32_t)netns->range_high.n);
	return lp_text_gap(snapshot, "sysctls", netns->inode, path, r);
}

/*
 * An IPv6 connect needs a source address: a namespace where IPv6 is disabled, or whose links are
 * all down, has none. One byte tells.
 */
static bool has_ipv6_address(const struct lp_kernel *kernel)
{
	char byte;
	_cleanup_(lp_close_fd) int fd =
	        openat(kernel->proc, "thread-self/net/if_inet6", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &byte, 1) == 1;
}

void lp_sysctl_kind(const struct lp_kernel *kernel, struct lp_netns *netns)
{
	netns->has_ipv6 = has_ipv6_address(kernel);
	/* net/ipv4/sysctl_net_ipv4.c: ipv4_table is registered in the first namespace only */
	netns->initial = faccessat(kernel->proc, "sys/net/ipv4/tcp_mem", F_OK, 0) == 0;
}

int lp_sysctl_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot,
                   struct lp_netns *netns, struct lp_port_map *reserved)
{
	int r = read_figures(kernel, snapshot, netns);
	if (r == 0)
		r = lp_sysctl_entries(kernel, snapshot, netns);
	if (r == 0)
		r = read_range(kernel, snapshot, netns);
	if (r == 0)
		r = read_reserved(kernel, snapshot, netns, reserved);
	if (r < 0)
		return r;
	/* TIME_WAIT must be older than a second to be reused wherever this sysctl is missing */
	if (!netns->tw_reuse_delay_ms.known &&
	    faccessat(kernel->proc, "sys/net/ipv4/tcp_tw_reuse_delay", F_OK, 0) < 0 &&
	    errno == ENOENT)
		netns->tw_reuse_delay_ms = lp_figure(DEFAULT_REUSE_DELAY_MS);
	/* 0 takes the limit away */
	if (netns->conntrack_max.known && netns->conntrack_max.n == 0)
		netns->conntrack_max.known = false;
	lp_sysctl_kind(kernel, netns);
	return 0;
}
