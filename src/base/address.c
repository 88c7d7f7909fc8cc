/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

struct lp_address lp_address_make(int family, const void *bytes, uint32_t ifindex)
{
	struct lp_address a = {.family = (uint16_t)family};
	if (family == AF_INET) {
		memcpy(a.bytes, bytes, 4);
		return a;
	}
	struct in6_addr six;
	memcpy(&six, bytes, sizeof(six));
	if (IN6_IS_ADDR_V4MAPPED(&six)) {
		a.family = AF_INET;
		memcpy(a.bytes, &six.s6_addr[12], 4);
		return a;
	}
	memcpy(a.bytes, &six, sizeof(six));
	if (IN6_IS_ADDR_LINKLOCAL(&six))
		a.ifindex = ifindex;
	return a;
}

struct lp_address lp_address_any(int family)
{
	return (struct lp_address){.family = (uint16_t)family};
}

bool lp_address_equal(const struct lp_address *a, const struct lp_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool lp_address_is_meant(const struct lp_address *written, const struct lp_address *a)
{
	struct lp_address same = *a;
	if (!written->ifindex)
		same.ifindex = 0;
	return lp_address_equal(written, &same);
}

bool lp_address_is_any(const struct lp_address *a)
{
	struct lp_address any = lp_address_any(a->family);
	return memcmp(a->bytes, any.bytes, sizeof(any.bytes)) == 0;
}

bool lp_address_is_loopback(const struct lp_address *a)
{
	if (a->family == AF_INET)
		return a->bytes[0] == 127;
	return memcmp(a->bytes, &in6addr_loopback, sizeof(a->bytes)) == 0;
}

const char *lp_address_text(const struct lp_address *a, char buf[LP_ADDRESS_TEXT])
{
	char plain[INET6_ADDRSTRLEN] = "?";
	(void)inet_ntop(a->family, a->bytes, plain, sizeof(plain));
	if (a->ifindex)
		(void)snprintf(buf, LP_ADDRESS_TEXT, "%s%%%u", plain, a->ifindex);
	else
		(void)snprintf(buf, LP_ADDRESS_TEXT, "%s", plain);
	return buf;
}

const char *lp_address_port_text(const struct lp_address *a, uint16_t port,
                                 char buf[LP_ADDRESS_TEXT])
{
	char plain[LP_ADDRESS_TEXT];
	lp_address_text(a, plain);
	(void)snprintf(buf, LP_ADDRESS_TEXT, a->family == AF_INET6 ? "[%.55s]:%u" : "%.55s:%u",
	               plain, port);
	return buf;
}

static uint32_t parse_scope(const char *text)
{
	const char *end = text;
	uint64_t index;
	if (lp_number_parse(&end, UINT32_MAX, &index) == 0 && !*end && index > 0)
		return (uint32_t)index;
	return if_nametoindex(text);
}

int lp_address_parse(const char *text, struct lp_address *ret)
{
	struct in_addr four;
	if (inet_pton(AF_INET, text, &four) == 1) {
		*ret = lp_address_make(AF_INET, &four, 0);
		return 0;
	}
	char plain[INET6_ADDRSTRLEN];
	size_t length = strcspn(text, "%");
	if (length >= sizeof(plain))
		return -EINVAL;
	memcpy(plain, text, length);
	plain[length] = '\0';
	struct in6_addr six;
	if (inet_pton(AF_INET6, plain, &six) != 1)
		return -EINVAL;
	uint32_t scope = 0;
	if (text[length] == '%') {
		scope = parse_scope(text + length + 1);
		if (!scope)
			return -EINVAL;
	}
	*ret = lp_address_make(AF_INET6, &six, scope);
	return 0;
}

static int parse_port(const char *text, uint16_t *ret)
{
	uint64_t port;
	if (lp_number_parse(&text, UINT16_MAX, &port) < 0 || *text || port < 1)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int lp_address_port_parse(const char *text, struct lp_address *ret, uint16_t *ret_port)
{
	char plain[LP_ADDRESS_TEXT];
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(plain))
		return -EINVAL;
	size_t length = (size_t)(colon - text);
	memcpy(plain, text, length);
	plain[length] = '\0';
	char *host = plain;
	if (plain[0] == '[') {
		if (length < 2 || plain[length - 1] != ']')
			return -EINVAL;
		plain[length - 1] = '\0';
		host++;
	} else if (memchr(plain, ':', length)) {
		return -EINVAL; /* "::1:80" could be either: brackets tell */
	}
	struct lp_address address;
	uint16_t port;
	if (lp_address_parse(host, &address) < 0 || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	*ret = address;
	*ret_port = port;
	return 0;
}
