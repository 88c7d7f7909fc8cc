/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counters of connection tracking from messages and from the text: whole, old, torn. */

#include "kernel/conntrack_stats.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "unit.h"

#define NAMES                                                                   \
	"entries  clashres found new invalid ignore delete chainlength insert " \
	"insert_failed drop early_drop icmp_error  expect_new expect_create "   \
	"expect_delete search_restart\n"
#define ONE                                                                                  \
	"00000003  00000001 00000002 00000000 00000003 00000000 00000000 00000004 00000005 " \
	"00000006 00000007 00000008 00000009  00000000 00000000 00000000 0000000a\n"
#define OTHER                                                                                \
	"00000003  00000010 00000020 00000000 00000030 00000000 00000000 00000040 00000050 " \
	"00000060 00000070 00000080 fffffff0  00000000 00000000 00000000 000000a0\n"

#define assert_figure(figure, wanted)                   \
	do {                                            \
		assert_true((figure).known);            \
		assert_int_equal((figure).n, (wanted)); \
	} while (0)

static void the_text_is_summed_over_cpus(void **state)
{
	(void)state;
	struct lp_conntrack_counters c = {0};
	assert_int_equal(lp_conntrack_stats_parse(NAMES ONE OTHER, &c), 0);
	assert_figure(c.clash_resolve, 0x11);
	assert_figure(c.found, 0x22);
	assert_figure(c.invalid, 0x33);
	assert_figure(c.chain_too_long, 0x44);
	assert_figure(c.insert, 0x55);
	assert_figure(c.insert_failed, 0x66);
	assert_figure(c.drop, 0x77);
	assert_figure(c.early_drop, 0x88);
	assert_figure(c.error, 0xfffffff9);
	assert_figure(c.search_restart, 0xaa);
}

static void an_older_text_leaves_out_what_it_lacks(void **state)
{
	(void)state;
	struct lp_conntrack_counters c = {0};
	assert_int_equal(
	        lp_conntrack_stats_parse("entries  searched found drop\n00000003 1 2 f\n", &c), 0);
	assert_figure(c.found, 2);
	assert_figure(c.drop, 15);
	assert_false(c.clash_resolve.known);
	assert_false(c.chain_too_long.known);
	assert_false(c.insert_failed.known);
}

/* Any cut is refused, but for one behind a whole line: then a CPU is missing, and who can tell. */
static void a_torn_text_sets_nothing(void **state)
{
	(void)state;
	static const char whole[] = NAMES ONE OTHER;
	char text[sizeof(whole)];
	for (size_t n = 0; n + 1 < sizeof(whole); n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		struct lp_conntrack_counters c = {0};
		bool ends = n == sizeof(NAMES ONE) - 1;
		assert_int_equal(lp_conntrack_stats_parse(text, &c), ends ? 0 : -EINVAL);
		assert_int_equal(c.drop.known, ends);
	}
}

static void what_is_no_such_text_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
	        "",
	        "\n",
	        "drop\n",
	        "drop\nxyz\n",
	        "drop\n-1\n",
	        "drop\n 0x1\n",
	        "drop\n1 2\n",
	        "found drop\n1\n",
	        "drop\n11111111111111111\n",
	        "found\n1\n",
	        NAMES "\n",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct lp_conntrack_counters c = {0};
		assert_int_equal(lp_conntrack_stats_parse(texts[i], &c), -EINVAL);
		assert_false(c.drop.known);
	}
}

struct message {
	_Alignas(8) char bytes[512];
};

static struct nlmsghdr *begin(struct message *m, uint8_t type)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(m->bytes);
	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	header->nlmsg_seq = 7;
	mnl_nlmsg_put_extra_header(header, sizeof(struct nfgenmsg));
	return header;
}

static void messages_are_summed_over_cpus(void **state)
{
	(void)state;
	struct lp_conntrack_counters c = {0};
	struct lp_netlink_result result = {0};
	for (uint32_t cpu = 1; cpu <= 3; cpu++) {
		struct message m = {0};
		struct nlmsghdr *header = begin(&m, IPCTNL_MSG_CT_GET_STATS_CPU);
		mnl_attr_put_u32(header, CTA_STATS_DROP, htonl(cpu));
		mnl_attr_put_u32(header, CTA_STATS_FOUND, htonl(UINT32_MAX));
		mnl_attr_put_u16(header, CTA_STATS_ERROR, 1); /* not its size */
		assert_int_equal(lp_conntrack_stats_take(header, &c, &result), 0);
	}
	assert_figure(c.drop, 6);
	assert_figure(c.found, 3 * (uint64_t)UINT32_MAX);
	assert_false(c.error.known);
	assert_false(c.insert.known);
	assert_false(result.truncated);
}

static void other_and_short_messages_add_nothing(void **state)
{
	(void)state;
	struct lp_conntrack_counters c = {0};
	struct lp_netlink_result result = {0};
	struct message m = {0};
	struct nlmsghdr *header = begin(&m, IPCTNL_MSG_CT_GET_STATS);
	mnl_attr_put_u32(header, CTA_STATS_DROP, htonl(1));
	assert_int_equal(lp_conntrack_stats_take(header, &c, &result), 0);
	assert_false(c.drop.known || result.truncated);
	header = begin(&m, IPCTNL_MSG_CT_GET_STATS_CPU);
	header->nlmsg_len = NLMSG_HDRLEN;
	assert_int_equal(lp_conntrack_stats_take(header, &c, &result), 0);
	assert_false(c.drop.known);
	assert_true(result.truncated);
}

static void growth_survives_a_counter_that_begins_again(void **state)
{
	(void)state;
	struct lp_figure grew =
	        lp_conntrack_grew(lp_figure(0xfffffffe + UINT64_C(100)), lp_figure(103));
	assert_figure(grew, 5);
	assert_figure(lp_conntrack_grew(lp_figure(7), lp_figure(7)), 0);
	assert_false(lp_conntrack_grew((struct lp_figure){0}, lp_figure(7)).known);
	assert_false(lp_conntrack_grew(lp_figure(7), (struct lp_figure){0}).known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_text_is_summed_over_cpus),
	        cmocka_unit_test(an_older_text_leaves_out_what_it_lacks),
	        cmocka_unit_test(a_torn_text_sets_nothing),
	        cmocka_unit_test(what_is_no_such_text_is_refused),
	        cmocka_unit_test(messages_are_summed_over_cpus),
	        cmocka_unit_test(other_and_short_messages_add_nothing),
	        cmocka_unit_test(growth_survives_a_counter_that_begins_again),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
