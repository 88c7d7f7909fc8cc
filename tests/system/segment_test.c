/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP written by hand is understood by the kernel, and the kernel's by us: both ways, both
 * families.
 */

#include "check.h"

#include <errno.h>
#include <sys/socket.h>

static struct lab_ns ns = LAB_NS_NONE;
static struct lab_wire wire = LAB_WIRE_NONE;

static const char *const near_text[] = {"10.9.0.1", "fd09::1"};
static const char *const far_text[] = {"10.9.0.2", "fd09::2"};

static int setup(void **state)
{
	(void)state;
	struct lp_error err = {0};
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_wire_open(&ns, "10.9.0.1/24", &wire, &err), err);
	assert_ok(lab_address(&ns, LAB_WIRE_LINK, "fd09::1/64", &err), err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_wire_done(&wire);
	lab_ns_done(&ns);
	return 0;
}

static void say_and_hear(struct lab_talk *talk, int fd)
{
	char got[16] = "";
	must(lab_talk_send(talk, TH_ACK | TH_PUSH, "from afar", 9));
	struct lab_segment s;
	must(lab_talk_wait(talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, &s));
	assert_int_equal(s.ack, talk->next);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 9);
	assert_string_equal(got, "from afar");

	assert_int_equal(send(fd, "odd", 3, 0), 3);
	must(lab_talk_wait(talk, TH_PUSH, TH_PUSH, LAB_TIMEOUT_MS, &s));
	assert_int_equal(s.length, 3);
	assert_memory_equal(s.data, "odd", 3);
	assert_int_equal(s.stamped, talk->stamped);
	must(lab_talk_send(talk, TH_ACK, NULL, 0));
}

/* Ends with the near end in TIME_WAIT: it closed first. */
static void end_near_first(struct lab_talk *talk, int fd, const struct lab_addr *near)
{
	(void)close(fd);
	must(lab_talk_wait(talk, TH_FIN, TH_FIN, LAB_TIMEOUT_MS, NULL));
	must(lab_talk_send(talk, TH_FIN | TH_ACK, NULL, 0));
	must(lab_talk_wait(talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, NULL));
	assert_int_equal(lab_tuple_state(&ns, near, &talk->self), TCP_TIME_WAIT);
}

static void accept_one(int family, bool stamped)
{
	struct lab_talk talk = {.wire = &wire,
	                        .self = lab_addr(far_text[family], stamped ? 81 : 80),
	                        .next = UINT32_MAX - 3, /* the numbers run over */
	                        .stamped = stamped,
	                        .stamp = 1000};
	struct lab_how how = {.ns = &ns, .options = LAB_NONBLOCK};
	_cleanup_(lp_close_fd) int fd = must(lab_connect(&how, &talk.self));
	must(lab_talk_accept(&talk));
	assert_int_equal(talk.stamped, stamped);
	must(lab_wait_tcp_state(fd, TCP_ESTABLISHED, LAB_TIMEOUT_MS));
	struct lab_addr near = lab_addr_local(fd);
	say_and_hear(&talk, fd);
	end_near_first(&talk, lp_take_fd(fd), &near);
}

static void connect_one(int family, bool stamped)
{
	struct lab_addr near = lab_addr(near_text[family], stamped ? 91 : 90);
	struct lab_how how = {.ns = &ns, .from = &near, .options = LAB_V6ONLY};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 1));
	struct lab_talk talk = {.wire = &wire,
	                        .self = lab_addr(far_text[family], 5000),
	                        .other = near,
	                        .next = 7,
	                        .stamped = stamped,
	                        .stamp = 1000};
	must(lab_talk_connect(&talk));
	assert_int_equal(talk.stamped, stamped);
	_cleanup_(lp_close_fd) int fd = must(lab_accept(listener, LAB_TIMEOUT_MS));
	say_and_hear(&talk, fd);
	end_near_first(&talk, lp_take_fd(fd), &near);
}

static void the_kernel_connects_to_us(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		accept_one(i / 2, i % 2);
}

static void we_connect_to_the_kernel(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		connect_one(i / 2, i % 2);
}

static void a_closed_port_answers_with_a_reset(void **state)
{
	(void)state;
	struct lab_talk talk = {.wire = &wire,
	                        .self = lab_addr(far_text[0], 5001),
	                        .other = lab_addr(near_text[0], 9),
	                        .next = 7};
	assert_int_equal(lab_talk_connect(&talk), -ECONNREFUSED);
}

static void what_nobody_says_is_waited_for_in_vain(void **state)
{
	(void)state;
	struct lab_addr from = lab_addr(near_text[0], 12345);
	struct lab_wanted wanted = {.from = &from};
	struct lab_segment untouched = {.seq = 42};
	assert_int_equal(lab_wire_wait(&wire, &wanted, 20, &untouched), -ETIMEDOUT);
	assert_int_equal(untouched.seq, 42);
	struct lab_segment mixed = {.from = from, .to = lab_addr("fd09::1", 1)};
	assert_int_equal(lab_wire_send(&wire, &mixed), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_kernel_connects_to_us),
	        cmocka_unit_test(we_connect_to_the_kernel),
	        cmocka_unit_test(a_closed_port_answers_with_a_reset),
	        cmocka_unit_test(what_nobody_says_is_waited_for_in_vain),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
