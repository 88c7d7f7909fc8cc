/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "base/number.h"
#include "lab/netlink.h"

enum {
	DAY_S = 86400,
	BATCH = 16384, /* bytes of requests sent at once: their answers fit a receive buffer */
	REQUEST_AT_MOST = 512, /* bytes of one */
	MOST_ENTRIES = 1 << 20,
	ENTRY_BYTES = 320,
};

int64_t lab_conntrack_max(struct lp_error *err)
{
	char text[32];
	int r = lab_sysctl_get(NULL, err, "netfilter/nf_conntrack_max", text, sizeof(text));
	if (r < 0)
		return r;
	uint64_t max;
	if (lp_number_whole(text, INT64_MAX, &max) < 0)
		return lp_fail(err, EINVAL, "nf_conntrack_max is no number: %s", text);
	if (max == 0)
		return lp_fail(err, ENODATA, "nf_conntrack_max is 0: the table has no limit here");
	return (int64_t)max;
}

static struct nlmsghdr *put_header(char *buf, unsigned type, unsigned flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct nfgenmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->nfgen_family = AF_INET;
	info->version = NFNETLINK_V0;
	return request;
}

/* What is done over a socket of the namespace. 0 or a negative errno. */
typedef int (*over_socket)(struct mnl_socket *nl, void *context);

static int in_namespace(const struct lab_ns *ns, over_socket function, void *context,
                        struct lp_error *err)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	_cleanup_(lab_netlink_close) struct mnl_socket *nl = lab_netlink_open(NETLINK_NETFILTER, 0);
	if (!nl)
		return lp_fail(err, errno, "ctnetlink: %s", strerror(errno));
	int r = function(nl, context);
	return r < 0 ? lp_fail(err, -r, "ctnetlink: %s", strerror(-r)) : 0;
}

struct question {
	struct nlmsghdr *request;
	mnl_cb_t cb;
	void *data;
};

static int talk(struct mnl_socket *nl, void *context)
{
	const struct question *question = context;
	return lab_netlink_talk(nl, question->request, question->cb, question->data);
}

/* Answers go to cb. */
static int ask(const struct lab_ns *ns, struct nlmsghdr *request, mnl_cb_t cb, void *data,
               struct lp_error *err)
{
	struct question question = {request, cb, data};
	return in_namespace(ns, talk, &question, err);
}

/* The attributes of an answer by their type; those beyond the table are left out. */
enum { TYPES = 32 };
struct attributes {
	const struct nlattr *of[TYPES];
};

static int keep_attribute(const struct nlattr *attr, void *data)
{
	struct attributes *attributes = data;
	if (mnl_attr_get_type(attr) < TYPES)
		attributes->of[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static struct attributes attributes_of(const struct nlmsghdr *answer)
{
	struct attributes attributes = {0};
	(void)mnl_attr_parse(answer, sizeof(struct nfgenmsg), keep_attribute, &attributes);
	return attributes;
}

static struct attributes attributes_in(const struct nlattr *nest)
{
	struct attributes attributes = {0};
	if (nest)
		(void)mnl_attr_parse_nested(nest, keep_attribute, &attributes);
	return attributes;
}

/* A figure in network byte order; 0 where the kernel tells none. */
static uint32_t number(const struct attributes *attributes, int type)
{
	const struct nlattr *attr = attributes->of[type];
	return attr && mnl_attr_get_payload_len(attr) == 4 ? ntohl(mnl_attr_get_u32(attr)) : 0;
}

static int read_entries(const struct nlmsghdr *answer, void *data)
{
	struct attributes attributes = attributes_of(answer);
	if (attributes.of[CTA_STATS_GLOBAL_ENTRIES])
		*(int64_t *)data = number(&attributes, CTA_STATS_GLOBAL_ENTRIES);
	return MNL_CB_OK;
}

int64_t lab_conntrack_count(const struct lab_ns *ns, struct lp_error *err)
{
	_Alignas(8) char buf[LAB_NETLINK_BUFFER];
	struct nlmsghdr *request = put_header(buf, IPCTNL_MSG_CT_GET_STATS, 0);
	int64_t entries = -1;
	int r = ask(ns, request, read_entries, &entries, err);
	if (r < 0)
		return r;
	return entries < 0 ? lp_fail(err, EPROTO, "ctnetlink tells no count") : entries;
}

static int add_stats(const struct nlmsghdr *answer, void *data)
{
	struct lab_conntrack_stats *stats = data;
	struct attributes attributes = attributes_of(answer);
	stats->found += number(&attributes, CTA_STATS_FOUND);
	stats->insert_failed += number(&attributes, CTA_STATS_INSERT_FAILED);
	stats->drop += number(&attributes, CTA_STATS_DROP);
	stats->early_drop += number(&attributes, CTA_STATS_EARLY_DROP);
	return MNL_CB_OK;
}

int lab_conntrack_stats(const struct lab_ns *ns, struct lab_conntrack_stats *ret,
                        struct lp_error *err)
{
	_Alignas(8) char buf[LAB_NETLINK_BUFFER];
	struct lab_conntrack_stats stats = {0};
	int r = ask(ns, put_header(buf, IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP), add_stats, &stats,
	            err);
	if (r == 0)
		*ret = stats;
	return r;
}

static void put_tuple(struct nlmsghdr *request, uint16_t type, const struct lab_addr *from,
                      const struct lab_addr *to)
{
	struct nlattr *tuple = mnl_attr_nest_start(request, type);
	struct nlattr *ip = mnl_attr_nest_start(request, CTA_TUPLE_IP);
	mnl_attr_put_u32(request, CTA_IP_V4_SRC, from->four.sin_addr.s_addr);
	mnl_attr_put_u32(request, CTA_IP_V4_DST, to->four.sin_addr.s_addr);
	mnl_attr_nest_end(request, ip);
	struct nlattr *proto = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(request, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, from->four.sin_port);
	mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, to->four.sin_port);
	mnl_attr_nest_end(request, proto);
	mnl_attr_nest_end(request, tuple);
}

/* ---- making many ------------------------------------------------------------------------------
 */

static size_t put_entry(char *buf, const struct lab_conntrack_fill *fill, uint32_t index, bool ack)
{
	struct lab_addr from = fill->from, to = fill->to;
	lab_addr_set_port(&from, (uint16_t)(lab_addr_port(&from) + index % fill->ports));
	uint32_t address = ntohl(to.four.sin_addr.s_addr) + index / fill->ports;
	to.four.sin_addr.s_addr = htonl(address);
	unsigned status = IPS_CONFIRMED | (fill->short_lived ? 0 : IPS_SEEN_REPLY | IPS_ASSURED);
	uint8_t state = fill->short_lived ? TCP_CONNTRACK_SYN_SENT : TCP_CONNTRACK_ESTABLISHED;

	struct nlmsghdr *request = put_header(buf, IPCTNL_MSG_CT_NEW,
	                                      NLM_F_CREATE | NLM_F_EXCL | (ack ? NLM_F_ACK : 0U));
	put_tuple(request, CTA_TUPLE_ORIG, &from, fill->asked.length ? &fill->asked : &to);
	put_tuple(request, CTA_TUPLE_REPLY, &to, &from);
	mnl_attr_put_u32(request, CTA_STATUS, htonl(status));
	mnl_attr_put_u32(request, CTA_TIMEOUT, htonl(DAY_S));
	struct nlattr *info = mnl_attr_nest_start(request, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(request, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(request, CTA_PROTOINFO_TCP_STATE, state);
	mnl_attr_nest_end(request, tcp);
	mnl_attr_nest_end(request, info);
	return request->nlmsg_len;
}

/*
 * The kernel answers each request that failed, and the last one whatever came of it. Returns the
 * first error, which is the only one that says anything.
 */
static int take_answers(struct mnl_socket *nl, uint32_t last)
{
	int first = 0;
	for (;;) {
		_Alignas(8) char buf[LAB_NETLINK_BUFFER];
		ssize_t got = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (got < 0)
			return lp_errno();
		int left = (int)got;
		for (const struct nlmsghdr *answer = (void *)buf; mnl_nlmsg_ok(answer, left);
		     answer = mnl_nlmsg_next(answer, &left)) {
			if (answer->nlmsg_type != NLMSG_ERROR)
				continue;
			const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
			if (error->error < 0 && !first)
				first = error->error;
			if (answer->nlmsg_seq == last)
				return first;
		}
	}
}

/* Sends one batch, from `index` on; *ret is how many it held. 0, or the first error. */
static int send_batch(struct mnl_socket *nl, const struct lab_conntrack_fill *fill, char *buf,
                      uint32_t index, uint32_t *ret)
{
	uint32_t n = 0;
	size_t length = 0;
	bool last = false;
	while (!last) {
		last = length + REQUEST_AT_MOST * 2 > BATCH || index + n + 1 == fill->n;
		struct nlmsghdr *request = (void *)(buf + length);
		length += put_entry(buf + length, fill, index + n, last);
		request->nlmsg_seq = ++n;
	}
	*ret = n;
	if (mnl_socket_sendto(nl, buf, length) < 0)
		return lp_errno();
	return take_answers(nl, n);
}

static int fill_with(struct mnl_socket *nl, void *context)
{
	const struct lab_conntrack_fill *fill = context;
	_cleanup_(lp_free_ptr) char *buf = malloc(BATCH);
	if (!buf)
		return -ENOMEM;
	for (uint32_t index = 0; index < fill->n;) {
		uint32_t n;
		int r = send_batch(nl, fill, buf, index, &n);
		if (r < 0)
			return r;
		index += n;
	}
	return 0;
}

int lab_conntrack_fill(const struct lab_ns *ns, const struct lab_conntrack_fill *fill,
                       struct lp_error *err)
{
	struct lab_conntrack_fill copy = *fill;
	int r = in_namespace(ns, fill_with, &copy, err);
	/* The kernel says so when the table is full. */
	if (r == -ENOMEM)
		return lp_fail(err, ENOMEM, "%u conntrack entries are too many", fill->n);
	return r;
}

static int64_t memory_available(struct lp_error *err)
{
	_cleanup_(lp_close_file) FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	int64_t kib;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNd64 " kB", &kib) == 1)
			return kib * 1024;
	return lp_fail(err, ENODATA, "/proc/meminfo: no MemAvailable");
}

int lab_conntrack_fill_up(const struct lab_ns *ns, struct lab_conntrack_fill *fill, uint32_t leave,
                          struct lp_error *err)
{
	int64_t max = lab_conntrack_max(err);
	int64_t count = max < 0 ? max : lab_conntrack_count(ns, err);
	int64_t memory = count < 0 ? count : memory_available(err);
	if (memory < 0)
		return (int)memory;
	if (max > MOST_ENTRIES || max * ENTRY_BYTES > memory / 8)
		return lp_fail(err, EFBIG,
		               "nf_conntrack_max is %" PRId64 ": a full table would take too much "
		               "memory",
		               max);
	fill->n = count + leave < max ? (uint32_t)(max - count - leave) : 0;
	return lab_conntrack_fill(ns, fill, err);
}

/* ---- one entry ---------------------------------------------------------------------------------
 */

static int read_entry(const struct nlmsghdr *answer, void *data)
{
	struct lab_conntrack *entry = data;
	struct attributes attributes = attributes_of(answer);
	struct attributes info = attributes_in(attributes.of[CTA_PROTOINFO]);
	struct attributes tcp = attributes_in(info.of[CTA_PROTOINFO_TCP]);
	entry->left_s = number(&attributes, CTA_TIMEOUT);
	entry->status = number(&attributes, CTA_STATUS);
	if (tcp.of[CTA_PROTOINFO_TCP_STATE])
		entry->tcp_state = mnl_attr_get_u8(tcp.of[CTA_PROTOINFO_TCP_STATE]);
	return MNL_CB_OK;
}

int lab_conntrack_find(const struct lab_ns *ns, const struct lab_addr *from,
                       const struct lab_addr *to, struct lab_conntrack *ret, struct lp_error *err)
{
	_Alignas(8) char buf[LAB_NETLINK_BUFFER];
	struct nlmsghdr *request = put_header(buf, IPCTNL_MSG_CT_GET, 0);
	put_tuple(request, CTA_TUPLE_ORIG, from, to);
	struct lab_conntrack entry = {0};
	int r = ask(ns, request, read_entry, &entry, err);
	if (r < 0)
		return r;
	*ret = entry;
	return 0;
}

int lab_conntrack_delete(const struct lab_ns *ns, const struct lab_addr *from,
                         const struct lab_addr *to, struct lp_error *err)
{
	_Alignas(8) char buf[LAB_NETLINK_BUFFER];
	struct nlmsghdr *request = put_header(buf, IPCTNL_MSG_CT_DELETE, 0);
	put_tuple(request, CTA_TUPLE_ORIG, from, to);
	return ask(ns, request, NULL, NULL, err);
}
