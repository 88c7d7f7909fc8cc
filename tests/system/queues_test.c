/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The promise of syn-queue: so many more SYNs are queued, and the next one gets a cookie or
 * nothing. SYNs are written by hand, so no handshake ends. LASTPORT_SEED and LASTPORT_ROUNDS
 * choose.
 */

#include "check.h"

#include <errno.h>
#include <sys/socket.h>

#include "ask.h"
#include "random.h"

enum { ROUNDS = 15, FIRST_PORT = 2000, MOST = 200 };

static uint64_t seed;

/* Where a listener may be, and where a client reaches it. */
static const struct form {
	const char *at;
	unsigned options;
	const char *to, *from;
} forms[] = {
        {"10.9.0.1", 0, "10.9.0.1", "10.9.0.2"}, {"0.0.0.0", 0, "10.9.0.1", "10.9.0.2"},
        {"fd09::1", 0, "fd09::1", "fd09::2"},    {"::", 0, "fd09::1", "fd09::2"},
        {"::", 0, "10.9.0.1", "10.9.0.2"},       {"::", LAB_V6ONLY, "fd09::1", "fd09::2"},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

struct place {
	struct lab_ns ns;
	struct lab_wire wire;
	struct lab_fds fds;
	uint16_t next; /* the client's next port */
};

static void place_make(struct place *place)
{
	struct lp_error err = {0};
	*place = (struct place){.ns = LAB_NS_NONE, .wire = LAB_WIRE_NONE, .next = FIRST_PORT};
	assert_ok(lab_ns_make(&place->ns, &err), err);
	assert_ok(lab_wire_open(&place->ns, "10.9.0.1/24", &place->wire, &err), err);
	assert_ok(lab_address(&place->ns, LAB_WIRE_LINK, "fd09::1/64", &err), err);
}

static void place_done(struct place *place)
{
	lab_fds_done(&place->fds);
	lab_wire_done(&place->wire);
	lab_ns_done(&place->ns);
}

static void place_listen(struct place *place, const struct form *form, unsigned options,
                         uint16_t port, unsigned backlog)
{
	struct lab_addr at = lab_addr(form->at, port);
	struct lab_how how = {.ns = &place->ns, .from = &at, .options = form->options | options};
	int fd = must(lab_listen(&how, (int)backlog));
	must(lab_hold(&place->fds, fd));
}

/* SYNs that got no place, however the kernel told the client. */
static int64_t turned_away(const struct place *place)
{
	return lab_counter(&place->ns, "TcpExt", "TCPReqQFullDoCookies") +
	       lab_counter(&place->ns, "TcpExt", "ListenDrops");
}

/* Sends the SYN of a new client. True where it was queued. */
static bool knock(struct place *place, const struct form *form, uint16_t port)
{
	struct lab_talk talk = {.wire = &place->wire,
	                        .self = lab_addr(form->from, place->next++),
	                        .other = lab_addr(form->to, port),
	                        .next = 1000};
	int64_t before = turned_away(place);
	int64_t deadline = lp_clock_ns() + INT64_C(1000000) * LAB_TIMEOUT_MS;
	int answered = -ETIMEDOUT;
	must(lab_talk_send(&talk, TH_SYN, NULL, 0));
	while (answered == -ETIMEDOUT && lp_clock_ns() < deadline) {
		if (turned_away(place) != before)
			return false;
		answered = lab_talk_wait(&talk, TH_SYN, TH_SYN, 20, NULL);
	}
	must(answered);
	return turned_away(place) == before;
}

static unsigned knock_until_refused(struct place *place, const struct form *form, uint16_t port)
{
	for (unsigned n = 0; n < MOST; n++)
		if (!knock(place, form, port))
			return n;
	fail_msg("the queue never filled");
	return 0;
}

static struct answer ask(const struct place *place)
{
	return ask_ns(&place->ns);
}

static json_t *queue_find(const struct answer *answer, const struct place *place, const char *at,
                          uint16_t port)
{
	return limit_find(answer, "syn-queue", place->ns.inode,
	                  json_pack("{s:s,s:i}", "listener", at, "listener_port", port));
}

static json_t *queue(const struct answer *answer, const struct place *place, const char *at,
                     uint16_t port)
{
	json_t *limit = queue_find(answer, place, at, port);
	_cleanup_(lp_free_ptr) char *missing =
	        json_dumps(json_object_get(answer->root, "incomplete"), 0);
	if (!limit)
		fail_msg("no limit of %s:%u; incomplete: %s", at, port, missing);
	return limit;
}

static void exactly_so_many_more(void **state)
{
	(void)state;
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++) {
		struct dice dice = {.state = seed + i};
		struct lp_error err = {0};
		struct place place;
		place_make(&place);
		const struct form *form = &forms[dice_pick(&dice, 0, FORMS - 1)];
		unsigned backlog = dice_pick(&dice, 0, 60), cookies = dice_pick(&dice, 0, 1);
		unsigned most = dice_pick(&dice, 1, 100), cap = dice_pick(&dice, 1, 90);
		assert_ok(lab_sysctl(&place.ns, &err, "core/somaxconn", "%u", cap), err);
		assert_ok(lab_sysctl(&place.ns, &err, "ipv4/tcp_syncookies", "%u", cookies), err);
		assert_ok(lab_sysctl(&place.ns, &err, "ipv4/tcp_max_syn_backlog", "%u", most), err);
		place_listen(&place, form, 0, 80, backlog);
		place_listen(&place, form, 0, 81, backlog);
		unsigned wait = dice_pick(&dice, 0, 5), queued = 0;
		while (queued < wait && knock(&place, form, 80))
			queued++;

		_cleanup_(answer_done) struct answer answer = ask(&place);
		const json_t *limit = queue(&answer, &place, form->at, 80);
		assert_int_equal(limit_figure(limit, "used"), queued);
		unsigned more = knock_until_refused(&place, form, 80);
		if (more != limit_figure(limit, "headroom"))
			fail_msg(
			        "seed %llu: %u more instead of %u: %s to %s, backlog %u, somaxconn "
			        "%u, cookies %u, max_syn_backlog %u",
			        (unsigned long long)(seed + i), more,
			        limit_figure(limit, "headroom"), form->to, form->at, backlog, cap,
			        cookies, most);

		_cleanup_(answer_done) struct answer full = ask(&place);
		limit = queue(&full, &place, form->at, 80);
		assert_int_equal(limit_figure(limit, "used"), queued + more);
		assert_int_equal(limit_figure(limit, "headroom"), 0);
		assert_int_equal(limit_figure(limit, "pressure"), 10000);
		assert_int_equal(limit_figure(queue(&full, &place, form->at, 81), "used"), 0);
		place_done(&place);
	}
}

/* tcp_syncookies 2: no SYN is queued, so there is nothing to fill. */
static void where_all_get_cookies_nothing_queues(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct place place;
	place_make(&place);
	assert_ok(lab_sysctl(&place.ns, &err, "ipv4/tcp_syncookies", "2"), err);
	place_listen(&place, &forms[0], 0, 80, 10);
	assert_false(knock(&place, &forms[0], 80));
	_cleanup_(answer_done) struct answer answer = ask(&place);
	assert_null(queue_find(&answer, &place, "10.9.0.1", 80));
	place_done(&place);
}

/* A SYN goes to one of the sockets that share an address by its hash: the sum, as an estimate. */
static void sockets_that_share_an_address_are_one_queue(void **state)
{
	enum { QUEUED = 6, BACKLOG = 20 };
	(void)state;
	struct place place;
	place_make(&place);
	place_listen(&place, &forms[1], LAB_REUSEPORT, 80, BACKLOG);
	place_listen(&place, &forms[1], LAB_REUSEPORT, 80, BACKLOG);
	for (int i = 0; i < QUEUED; i++)
		assert_true(knock(&place, &forms[1], 80));
	_cleanup_(answer_done) struct answer answer = ask(&place);
	const json_t *limit = queue(&answer, &place, "0.0.0.0", 80);
	assert_int_equal(limit_figure(limit, "used"), QUEUED);
	assert_in_range(limit_figure(limit, "capacity"), 2 * BACKLOG, 2 * (BACKLOG + 1));
	assert_true(json_is_false(json_object_get(limit, "exact")));
	place_done(&place);
}

/* ---- overflows ------------------------------------------------------------------------------ */

static struct lab_addr in_lo(uint16_t port)
{
	return lab_addr("127.0.0.1", port);
}

/* A connection more than the queue holds: its SYN is dropped, again and again. */
static void overflow(struct place *place, uint16_t port, unsigned backlog)
{
	struct lab_addr to = in_lo(port);
	struct lab_how how = {.ns = &place->ns};
	must_count(lab_connect_many(&how, &to, backlog + 1, &place->fds), backlog + 1);
	how.options = LAB_NONBLOCK;
	for (int i = 0; i < 20; i++) {
		int fd = must(lab_connect(&how, &to));
		must(lab_hold(&place->fds, fd));
	}
}

static struct answer ask_twice(const struct place *place)
{
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%llu", (unsigned long long)place->ns.inode);
	return ask_raw("status", "--json", "--netns", inode, "--interval", "1.5", "--reader",
	               "diag", NULL);
}

static const json_t *accept_queue(const struct answer *answer, const struct place *place,
                                  uint16_t port)
{
	return limit_must(answer, "accept-queue", place->ns.inode,
	                  json_pack("{s:s,s:i}", "listener", "127.0.0.1", "listener_port", port));
}

static const char *whose(const json_t *limit)
{
	return json_string_value(json_object_get(limit, "counters_of"));
}

/* SYNs are sent again after a second, so that the counters of a full queue grow by themselves. */
static void overflows_are_whose_they_are_for_certain(void **state)
{
	enum { BACKLOG = 3 };
	(void)state;
	static const struct form lo = {"127.0.0.1", 0, NULL, NULL};
	struct place place;
	place_make(&place);
	place_listen(&place, &lo, 0, 80, BACKLOG);
	overflow(&place, 80, BACKLOG);
	_cleanup_(answer_done) struct answer alone = ask_twice(&place);
	const json_t *limit = accept_queue(&alone, &place, 80);
	const json_t *ever = json_object_get(limit, "counters");
	const json_t *rates = json_object_get(limit, "counters_per_s");
	json_int_t counted = json_integer_value(json_object_get(ever, "ListenOverflows"));
	assert_true(counted > 0);
	assert_true(counted <= lab_counter(&place.ns, "TcpExt", "ListenOverflows"));
	assert_true(json_number_value(json_object_get(rates, "ListenOverflows")) > 0);
	assert_string_equal(whose(limit), "listener");

	place_listen(&place, &lo, 0, 81, BACKLOG);
	_cleanup_(answer_done) struct answer two = ask_twice(&place);
	assert_string_equal(whose(accept_queue(&two, &place, 80)), "only-full-listener");
	assert_string_equal(whose(accept_queue(&two, &place, 81)), "namespace");
	assert_string_equal(whose(queue(&two, &place, "127.0.0.1", 80)), "namespace");

	overflow(&place, 81, BACKLOG);
	_cleanup_(answer_done) struct answer both = ask_twice(&place);
	assert_string_equal(whose(accept_queue(&both, &place, 80)), "namespace");
	assert_string_equal(whose(accept_queue(&both, &place, 81)), "namespace");
	place_done(&place);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(exactly_so_many_more),
	        cmocka_unit_test(where_all_get_cookies_nothing_queues),
	        cmocka_unit_test(sockets_that_share_an_address_are_one_queue),
	        cmocka_unit_test(overflows_are_whose_they_are_for_certain),
	};
	seed = seed_of_run(argc, argv);
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
