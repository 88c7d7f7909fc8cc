/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "lab/link.h"

enum {
	PACKET_MOST = 2048,
	STAMPS_SIZE = 12, /* two NOPs before the option of ten bytes */
	WINDOW = 32768,
	HOPS = 64,
};

/* ---- the wire ---------------------------------------------------------------------------------
 */

/* No ARP and no neighbour discovery: whatever is sent goes into the wire. Reads the MAC too. */
static int make_dumb(const struct lab_ns *ns, unsigned char mac[6])
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return home;
	_cleanup_(lp_close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lp_errno();
	struct ifreq request = {.ifr_name = LAB_WIRE_LINK};
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return lp_errno();
	request.ifr_flags |= IFF_NOARP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return lp_errno();
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return 0;
}

static int open_packets(const struct lab_ns *far, const char *name, int *ret_link)
{
	_cleanup_(lab_leave) int home = lab_enter(far);
	if (home < 0)
		return home;
	_cleanup_(lp_close_fd) int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lp_errno();
	struct sockaddr_ll at = {
	        .sll_family = AF_PACKET,
	        .sll_protocol = htons(ETH_P_ALL),
	        .sll_ifindex = (int)if_nametoindex(name),
	};
	if (!at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return lp_errno();
	*ret_link = at.sll_ifindex;
	return lp_take_fd(fd);
}

static int lay(const struct lab_ns *ns, const char *network, struct lab_wire *wire,
               struct lp_error *err)
{
	static const char far_link[] = "far";
	int r = lab_ns_make(&wire->far, err);
	if (r == 0)
		r = lab_veth(ns, LAB_WIRE_LINK, &wire->far, far_link, err);
	if (r < 0)
		return r;
	r = make_dumb(ns, wire->mac);
	if (r < 0)
		return lp_fail(err, -r, LAB_WIRE_LINK ": %s", strerror(-r));
	r = lab_address(ns, LAB_WIRE_LINK, network, err);
	if (r < 0)
		return r;
	wire->fd = open_packets(&wire->far, far_link, &wire->link);
	if (wire->fd < 0)
		return lp_fail(err, -wire->fd, "packet socket: %s", strerror(-wire->fd));
	return 0;
}

int lab_wire_open(const struct lab_ns *ns, const char *network, struct lab_wire *ret,
                  struct lp_error *err)
{
	struct lab_wire wire = LAB_WIRE_NONE;
	int r = lay(ns, network, &wire, err);
	if (r < 0) {
		lab_wire_done(&wire);
		return r;
	}
	*ret = wire;
	return 0;
}

void lab_wire_done(struct lab_wire *wire)
{
	lp_close_fd(&wire->fd);
	lab_ns_done(&wire->far);
	*wire = LAB_WIRE_NONE;
}

/* ---- to bytes ---------------------------------------------------------------------------------
 */

static uint32_t sum_of(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	uint32_t sum = 0;
	for (; size > 1; p += 2, size -= 2)
		sum += (uint32_t)(p[0] << 8 | p[1]);
	if (size)
		sum += (uint32_t)(p[0] << 8);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static uint32_t sum_of_address(const struct lab_addr *addr)
{
	return lab_addr_family(addr) == AF_INET ? sum_of(&addr->four.sin_addr, 4)
	                                        : sum_of(&addr->six.sin6_addr, 16);
}

static size_t put_stamps(const struct lab_segment *s, unsigned char *at)
{
	if (!s->stamped)
		return 0;
	uint32_t stamp = htonl(s->stamp), echo = htonl(s->echo);
	at[0] = at[1] = TCPOPT_NOP;
	at[2] = TCPOPT_TIMESTAMP;
	at[3] = TCPOLEN_TIMESTAMP;
	memcpy(at + 4, &stamp, 4);
	memcpy(at + 8, &echo, 4);
	return STAMPS_SIZE;
}

/* The TCP part. Returns its size. */
static size_t put_tcp(const struct lab_segment *s, unsigned char *at)
{
	size_t header = sizeof(struct tcphdr) + put_stamps(s, at + sizeof(struct tcphdr));
	struct tcphdr tcp = {
	        .th_sport = htons(lab_addr_port(&s->from)),
	        .th_dport = htons(lab_addr_port(&s->to)),
	        .th_seq = htonl(s->seq),
	        .th_ack = htonl(s->ack),
	        .th_flags = s->flags,
	        .th_win = htons(s->window),
	};
	tcp.th_off = (unsigned)(header / 4) & 0xfU;
	memcpy(at, &tcp, sizeof(tcp));
	memcpy(at + header, s->data, s->length);
	size_t size = header + s->length;
	uint16_t sum = fold(sum_of_address(&s->from) + sum_of_address(&s->to) + IPPROTO_TCP +
	                    (uint32_t)size + sum_of(at, size));
	memcpy(at + offsetof(struct tcphdr, th_sum), &sum, sizeof(sum));
	return size;
}

static size_t put_ip4(const struct lab_segment *s, unsigned char *at)
{
	size_t size = sizeof(struct iphdr) + put_tcp(s, at + sizeof(struct iphdr));
	struct iphdr ip = {
	        .version = 4,
	        .ihl = sizeof(ip) / 4,
	        .tot_len = htons((uint16_t)size),
	        .frag_off = htons(IP_DF),
	        .ttl = HOPS,
	        .protocol = IPPROTO_TCP,
	        .saddr = s->from.four.sin_addr.s_addr,
	        .daddr = s->to.four.sin_addr.s_addr,
	};
	ip.check = fold(sum_of(&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return size;
}

static size_t put_ip6(const struct lab_segment *s, unsigned char *at)
{
	size_t payload = put_tcp(s, at + sizeof(struct ip6_hdr));
	struct ip6_hdr ip = {.ip6_src = s->from.six.sin6_addr, .ip6_dst = s->to.six.sin6_addr};
	ip.ip6_flow = htonl(6U << 28);
	ip.ip6_plen = htons((uint16_t)payload);
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = HOPS;
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + payload;
}

int lab_wire_send(const struct lab_wire *wire, const struct lab_segment *segment)
{
	int family = lab_addr_family(&segment->from);
	if (family != lab_addr_family(&segment->to) || segment->length > LAB_SEGMENT_DATA)
		return -EINVAL;
	unsigned char packet[PACKET_MOST];
	size_t size = family == AF_INET ? put_ip4(segment, packet) : put_ip6(segment, packet);
	struct sockaddr_ll to = {
	        .sll_family = AF_PACKET,
	        .sll_protocol = htons(family == AF_INET ? ETH_P_IP : ETH_P_IPV6),
	        .sll_ifindex = wire->link,
	        .sll_halen = sizeof(wire->mac),
	};
	memcpy(to.sll_addr, wire->mac, sizeof(wire->mac));
	ssize_t n = sendto(wire->fd, packet, size, 0, (struct sockaddr *)&to, sizeof(to));
	return n < 0 ? lp_errno() : 0;
}

/* ---- from bytes -------------------------------------------------------------------------------
 */

static void take_stamps(const unsigned char *at, size_t size, struct lab_segment *s)
{
	while (size > 0 && *at != TCPOPT_EOL) {
		size_t length = *at == TCPOPT_NOP ? 1 : size > 1 ? at[1] : 0;
		if (length == 0 || length > size)
			return;
		if (*at == TCPOPT_TIMESTAMP && length == TCPOLEN_TIMESTAMP) {
			memcpy(&s->stamp, at + 2, 4);
			memcpy(&s->echo, at + 6, 4);
			s->stamp = ntohl(s->stamp);
			s->echo = ntohl(s->echo);
			s->stamped = true;
		}
		at += length;
		size -= length;
	}
}

static bool take_tcp(const unsigned char *at, size_t size, struct lab_segment *s)
{
	struct tcphdr tcp;
	if (size < sizeof(tcp))
		return false;
	memcpy(&tcp, at, sizeof(tcp));
	size_t header = tcp.th_off * 4U;
	if (header < sizeof(tcp) || header > size || size - header > LAB_SEGMENT_DATA)
		return false;
	lab_addr_set_port(&s->from, ntohs(tcp.th_sport));
	lab_addr_set_port(&s->to, ntohs(tcp.th_dport));
	s->seq = ntohl(tcp.th_seq);
	s->ack = ntohl(tcp.th_ack);
	s->flags = tcp.th_flags;
	s->window = ntohs(tcp.th_win);
	take_stamps(at + sizeof(tcp), header - sizeof(tcp), s);
	s->length = size - header;
	memcpy(s->data, at + header, s->length);
	return true;
}

static struct lab_addr address_of(int family, const void *bytes)
{
	struct lab_addr a = {0};
	if (family == AF_INET) {
		a.length = sizeof(a.four);
		a.four.sin_family = AF_INET;
		memcpy(&a.four.sin_addr, bytes, sizeof(a.four.sin_addr));
	} else {
		a.length = sizeof(a.six);
		a.six.sin6_family = AF_INET6;
		memcpy(&a.six.sin6_addr, bytes, sizeof(a.six.sin6_addr));
	}
	return a;
}

static bool take_ip4(const unsigned char *at, size_t size, struct lab_segment *s)
{
	struct iphdr ip;
	if (size < sizeof(ip))
		return false;
	memcpy(&ip, at, sizeof(ip));
	size_t header = ip.ihl * 4U, whole = ntohs(ip.tot_len);
	if (ip.protocol != IPPROTO_TCP || header < sizeof(ip) || header > whole || whole > size)
		return false;
	s->from = address_of(AF_INET, &ip.saddr);
	s->to = address_of(AF_INET, &ip.daddr);
	return take_tcp(at + header, whole - header, s);
}

static bool take_ip6(const unsigned char *at, size_t size, struct lab_segment *s)
{
	struct ip6_hdr ip;
	if (size < sizeof(ip))
		return false;
	memcpy(&ip, at, sizeof(ip));
	size_t payload = ntohs(ip.ip6_plen);
	if (ip.ip6_nxt != IPPROTO_TCP || payload > size - sizeof(ip))
		return false;
	s->from = address_of(AF_INET6, &ip.ip6_src);
	s->to = address_of(AF_INET6, &ip.ip6_dst);
	return take_tcp(at + sizeof(ip), payload, s);
}

/* The next packet that is a TCP segment from the other side of the wire. -EAGAIN: it was none. */
static int receive(const struct lab_wire *wire, struct lab_segment *ret)
{
	unsigned char packet[PACKET_MOST];
	struct sockaddr_ll from = {0};
	socklen_t length = sizeof(from);
	ssize_t n = recvfrom(wire->fd, packet, sizeof(packet), MSG_DONTWAIT,
	                     (struct sockaddr *)&from, &length);
	if (n < 0)
		return lp_errno();
	if (from.sll_pkttype == PACKET_OUTGOING)
		return -EAGAIN;
	bool taken = from.sll_protocol == htons(ETH_P_IP)     ? take_ip4(packet, (size_t)n, ret)
	             : from.sll_protocol == htons(ETH_P_IPV6) ? take_ip6(packet, (size_t)n, ret)
	                                                      : false;
	return taken ? 0 : -EAGAIN;
}

static bool same_place(const struct lab_addr *wanted, const struct lab_addr *addr)
{
	if (!wanted)
		return true;
	if (lab_addr_family(wanted) != lab_addr_family(addr) ||
	    lab_addr_port(wanted) != lab_addr_port(addr))
		return false;
	return lab_addr_family(wanted) == AF_INET
	               ? !memcmp(&wanted->four.sin_addr, &addr->four.sin_addr, 4)
	               : !memcmp(&wanted->six.sin6_addr, &addr->six.sin6_addr, 16);
}

int lab_wire_wait(const struct lab_wire *wire, const struct lab_wanted *wanted, int timeout_ms,
                  struct lab_segment *ret)
{
	int64_t deadline = lp_clock_ns() + timeout_ms * INT64_C(1000000);
	for (;;) {
		struct lab_segment s = {0};
		int r = receive(wire, &s);
		if (r == 0 && same_place(wanted->from, &s.from) && same_place(wanted->to, &s.to) &&
		    (s.flags & wanted->mask) == wanted->flags) {
			if (ret)
				*ret = s;
			return 0;
		}
		if (r < 0 && r != -EAGAIN && r != -EINTR)
			return r;
		int64_t left = (deadline - lp_clock_ns() + 999999) / 1000000;
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd wait = {.fd = wire->fd, .events = POLLIN};
		(void)poll(&wait, 1, (int)left);
	}
}

/* ---- a connection -----------------------------------------------------------------------------
 */

struct lab_segment lab_talk_segment(const struct lab_talk *talk, uint8_t flags, const void *data,
                                    size_t length)
{
	struct lab_segment s = {
	        .from = talk->self,
	        .to = talk->other,
	        .seq = talk->next,
	        .ack = flags & TH_ACK ? talk->seen : 0,
	        .flags = flags,
	        .window = WINDOW,
	        .stamped = talk->stamped,
	        .stamp = talk->stamp,
	        .echo = talk->echo,
	        .length = length < LAB_SEGMENT_DATA ? length : LAB_SEGMENT_DATA,
	};
	if (data)
		memcpy(s.data, data, s.length);
	return s;
}

/* How many sequence numbers a segment takes. */
static uint32_t numbers_of(const struct lab_segment *s)
{
	return (uint32_t)s->length + !!(s->flags & TH_SYN) + !!(s->flags & TH_FIN);
}

int lab_talk_send(struct lab_talk *talk, uint8_t flags, const void *data, size_t length)
{
	struct lab_segment s = lab_talk_segment(talk, flags, data, length);
	talk->next += numbers_of(&s);
	return lab_wire_send(talk->wire, &s);
}

static void take_note(struct lab_talk *talk, const struct lab_segment *s)
{
	if (s->flags & TH_SYN || s->seq == talk->seen)
		talk->seen = s->seq + numbers_of(s);
	if (s->stamped)
		talk->echo = s->stamp;
}

int lab_talk_wait(struct lab_talk *talk, uint8_t mask, uint8_t flags, int timeout_ms,
                  struct lab_segment *ret)
{
	struct lab_wanted wanted = {&talk->other, &talk->self, mask, flags};
	struct lab_segment s = {0};
	int r = lab_wire_wait(talk->wire, &wanted, timeout_ms, &s);
	if (r < 0)
		return r;
	take_note(talk, &s);
	if (ret)
		*ret = s;
	return 0;
}

int lab_talk_accept(struct lab_talk *talk)
{
	struct lab_wanted wanted = {NULL, &talk->self, TH_SYN | TH_ACK | TH_RST, TH_SYN};
	struct lab_segment s = {0};
	int r = lab_wire_wait(talk->wire, &wanted, LAB_TIMEOUT_MS, &s);
	if (r < 0)
		return r;
	talk->other = s.from;
	talk->stamped = talk->stamped && s.stamped;
	take_note(talk, &s);
	r = lab_talk_send(talk, TH_SYN | TH_ACK, NULL, 0);
	if (r < 0)
		return r;
	return lab_talk_wait(talk, TH_SYN | TH_ACK | TH_RST, TH_ACK, LAB_TIMEOUT_MS, NULL);
}

int lab_talk_connect(struct lab_talk *talk)
{
	struct lab_segment s = {0};
	int r = lab_talk_send(talk, TH_SYN, NULL, 0);
	if (r == 0)
		r = lab_talk_wait(talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, &s);
	if (r < 0)
		return r;
	if (s.flags & TH_RST)
		return -ECONNREFUSED;
	if (!(s.flags & TH_SYN) || s.ack != talk->next)
		return -EPROTO;
	talk->stamped = talk->stamped && s.stamped;
	return lab_talk_send(talk, TH_ACK, NULL, 0);
}
