/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "unit.h"

static void text_there_and_back(void **state)
{
	(void)state;
	static const char *const texts[] = {"0.0.0.0",
	                                    "127.0.0.1",
	                                    "255.255.255.255",
	                                    "::",
	                                    "::1",
	                                    "2001:db8::1",
	                                    "fe80::1%3",
	                                    "1111:2222:3333:4444:5555:6666:7777:8888"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[LP_ADDRESS_TEXT];
		struct lp_address address = unit_address(texts[i]);
		assert_string_equal(lp_address_text(&address, text), texts[i]);
	}
}

static void an_ipv4_address_in_ipv6_is_the_same_address(void **state)
{
	(void)state;
	struct lp_address mapped = unit_address("::ffff:10.0.0.1");
	struct lp_address plain = unit_address("10.0.0.1");
	assert_true(lp_address_equal(&mapped, &plain));
	assert_int_equal(mapped.family, AF_INET);
	assert_memory_equal(&mapped, &plain, sizeof(plain));
}

static void the_scope_is_kept_for_link_local_only(void **state)
{
	(void)state;
	struct lp_address three = unit_address("fe80::1%3"), four = unit_address("fe80::1%4");
	assert_int_equal(three.ifindex, 3);
	assert_false(lp_address_equal(&three, &four));
	assert_int_equal(unit_address("2001:db8::1%3").ifindex, 0);
}

static void a_scope_may_be_a_name(void **state)
{
	(void)state;
	assert_int_equal(unit_address("fe80::1%lo").ifindex, if_nametoindex("lo"));
}

static void what_is_no_address_is_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"",
	                                    "1.2.3",
	                                    "1.2.3.4.5",
	                                    "1.2.3.256",
	                                    " 1.2.3.4",
	                                    "1.2.3.4 ",
	                                    "1.2.3.4%1",
	                                    "::g",
	                                    ":::",
	                                    "fe80::1%",
	                                    "fe80::1%no-such-link",
	                                    "fe80::1%0",
	                                    "%1",
	                                    "localhost",
	                                    "fe80::1%99999999999999999999"};
	struct lp_address address = unit_address("9.9.9.9"), before = address;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_address_parse(wrong[i], &address), -EINVAL);
	assert_true(lp_address_equal(&address, &before));
}

static void ports_as_people_write_them(void **state)
{
	(void)state;
	static const char *const texts[] = {"10.0.0.1:80", "[::1]:443", "[fe80::1%3]:65535",
	                                    "1.2.3.4:1"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[LP_ADDRESS_TEXT];
		struct lp_address address;
		uint16_t port;
		assert_int_equal(lp_address_port_parse(texts[i], &address, &port), 0);
		assert_string_equal(lp_address_port_text(&address, port, text), texts[i]);
	}
}

static void what_is_no_address_with_port_sets_nothing(void **state)
{
	(void)state;
	static const char *const wrong[] = {"",
	                                    "10.0.0.1",
	                                    "10.0.0.1:",
	                                    "10.0.0.1:0",
	                                    "10.0.0.1:65536",
	                                    "1.2.3.4:+1",
	                                    "1.2.3.4: 1",
	                                    "1.2.3.4:1 ",
	                                    "1.2.3.4:1\n",
	                                    "::1:80",
	                                    "[::1]",
	                                    "[::1]80",
	                                    "[::1:80",
	                                    "::1]:80",
	                                    "[]:80",
	                                    ":80",
	                                    "[1.2.3.4:80",
	                                    "1.2.3.4:80x",
	                                    "[::1]:80:81",
	                                    "1.2.3.4:18446744073709551617"};
	struct lp_address address = unit_address("9.9.9.9"), before = address;
	uint16_t port = 9;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_address_port_parse(wrong[i], &address, &port), -EINVAL);
	assert_int_equal(port, 9);
	assert_true(lp_address_equal(&address, &before));
}

static void without_a_scope_it_is_meant_on_every_link(void **state)
{
	(void)state;
	static const struct {
		const char *written, *address;
		bool meant;
	} cases[] = {{"fe80::1", "fe80::1%3", true},    {"fe80::1%3", "fe80::1%3", true},
	             {"fe80::1%3", "fe80::1%4", false}, {"fe80::1%3", "fe80::1", false},
	             {"fe80::1", "fe80::2%3", false},   {"10.0.0.1", "10.0.0.1", true},
	             {"10.0.0.1", "10.0.0.2", false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_address written = unit_address(cases[i].written);
		struct lp_address address = unit_address(cases[i].address);
		assert_int_equal(lp_address_is_meant(&written, &address), cases[i].meant);
	}
}

static void loopback_is_what_the_kernel_calls_so(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool loopback;
	} cases[] = {{"127.0.0.1", true},  {"127.255.255.255", true}, {"::1", true},
	             {"126.0.0.1", false}, {"128.0.0.1", false},      {"::", false},
	             {"::2", false},       {"2001:db8::1", false},    {"::ffff:127.0.0.2", true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_address address = unit_address(cases[i].text);
		assert_int_equal(lp_address_is_loopback(&address), cases[i].loopback);
	}
}

static void the_wildcards_are_any(void **state)
{
	(void)state;
	struct lp_address any = lp_address_any(AF_INET), any6 = lp_address_any(AF_INET6);
	struct lp_address one = unit_address("0.0.0.1"), one6 = unit_address("::1");
	assert_true(lp_address_is_any(&any));
	assert_true(lp_address_is_any(&any6));
	assert_false(lp_address_is_any(&one));
	assert_false(lp_address_is_any(&one6));
	assert_false(lp_address_equal(&any, &any6));
}

UNIT_MAIN(cmocka_unit_test(text_there_and_back),
          cmocka_unit_test(an_ipv4_address_in_ipv6_is_the_same_address),
          cmocka_unit_test(the_scope_is_kept_for_link_local_only),
          cmocka_unit_test(a_scope_may_be_a_name), cmocka_unit_test(what_is_no_address_is_refused),
          cmocka_unit_test(ports_as_people_write_them),
          cmocka_unit_test(what_is_no_address_with_port_sets_nothing),
          cmocka_unit_test(without_a_scope_it_is_meant_on_every_link),
          cmocka_unit_test(loopback_is_what_the_kernel_calls_so),
          cmocka_unit_test(the_wildcards_are_any))
