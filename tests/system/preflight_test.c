/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* `lastport check --to ADDR:PORT --need N --rate R`, held to what then happens. */

#include "check.h"

#include <errno.h>
#include <inttypes.h>

#include "ask.h"
#include "random.h"

enum { OK = 0, CRITICAL = 2, LEAVE = 50, OPEN = 20, PORT = 80 };

static uint64_t seed;

/* The exit status, asked from inside; `word` must stand in the line. */
static int check(const struct lab_ns *ns, const char *option, const char *value, const char *word)
{
	_cleanup_(lab_leave) int home = lab_enter(ns);
	must(home);
	struct lab_output out;
	const char *argv[] = {getenv("LASTPORT"),
	                      "check",
	                      "--to",
	                      "10.9.0.1:80",
	                      "--netns",
	                      "self",
	                      "--warn",
	                      "100%",
	                      "--critical",
	                      "100%",
	                      option,
	                      value,
	                      NULL};
	int status = lab_run(argv, 30000, &out, NULL);
	if (word && !strstr(out.text, word))
		fail_msg("%s %s: no '%s' in %s", option, value, word, out.text);
	lab_output_done(&out);
	return status;
}

static int need(const struct lab_ns *ns, uint64_t n, const char *word)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%" PRIu64, n);
	return check(ns, "--need", text, word);
}

static int rate(const struct lab_ns *ns, double per_s, const char *word)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%.3f", per_s);
	return check(ns, "--rate", text, word);
}

/* A namespace with `ports` ports, and a listener at 10.9.0.1:80 of its own. */
static struct lab_ns world(unsigned ports, int *listener)
{
	struct lp_error err = {0};
	struct lab_ns ns = LAB_NS_NONE;
	struct lab_addr at = lab_addr("10.9.0.1", PORT);
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_address(&ns, "lo", "10.9.0.1", &err), err);
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_port_range", "20000 %u", 20000 + ports - 1),
	          err);
	*listener = must(lab_listen(&(struct lab_how){.ns = &ns, .from = &at}, 2000));
	return ns;
}

static void so_many_can_be_opened(void **state)
{
	(void)state;
	struct dice dice = {.state = seed};
	unsigned ports = 2 * dice_pick(&dice, 50, 300);
	struct lab_addr to = lab_addr("10.9.0.1", PORT);
	_cleanup_(lp_close_fd) int listener = -1;
	_cleanup_(lab_ns_done) struct lab_ns ns = world(ports, &listener);
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_how how = {.ns = &ns};
	must_count(lab_connect_many(&how, &to, OPEN, &fds), OPEN);
	assert_int_equal(need(&ns, ports - OPEN, NULL), OK);
	assert_int_equal(need(&ns, ports - OPEN + 1, "needed"), CRITICAL);
	must_count(lab_connect_many(&how, &to, ports - OPEN, &fds), ports - OPEN);
	assert_int_equal(lab_connect_many(&how, &to, 1, &fds).error, EADDRNOTAVAIL);
	assert_int_equal(need(&ns, 1, "needed"), CRITICAL);
}

/* TIME_WAIT stays up to 62.05 s at 250 Hz, 64.1 s at 1000 Hz; open connections keep their ports. */
static void that_rate_can_last(void **state)
{
	(void)state;
	enum { PORTS = 620 };
	struct lab_addr to = lab_addr("10.9.0.1", PORT);
	_cleanup_(lp_close_fd) int listener = -1;
	_cleanup_(lab_ns_done) struct lab_ns ns = world(PORTS, &listener);
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_how how = {.ns = &ns};
	assert_int_equal(rate(&ns, PORTS / 66.0, NULL), OK);
	assert_int_equal(rate(&ns, PORTS / 60.1, "can last"), CRITICAL);
	must_count(lab_connect_many(&how, &to, PORTS / 2, &fds), PORTS / 2);
	assert_int_equal(rate(&ns, PORTS / 132.0, NULL), OK);
	assert_int_equal(rate(&ns, PORTS / 120.2, "can last"), CRITICAL);
	assert_int_equal(lab_sysctl(&ns, NULL, "ipv4/tcp_tw_reuse", "1"), 0);
	assert_int_equal(rate(&ns, PORTS / 2.2, NULL), OK);
	assert_int_equal(rate(&ns, PORTS / 1.8, "can last"), CRITICAL);
}

static void the_conntrack_table_has_room(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lp_close_fd) int listener = -1;
	_cleanup_(lab_ns_done) struct lab_ns ns = world(2000, &listener);
	assert_int_equal(need(&ns, 1000, NULL), OK);
	assert_ok(lab_nft_track(&ns, &err), err);
	struct lab_conntrack_fill fill = {.from = lab_addr("10.0.0.1", 2000),
	                                  .to = lab_addr("10.1.0.1", 443),
	                                  .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&ns, &fill, LEAVE, &err), err);
	assert_int_equal(need(&ns, LEAVE, NULL), OK);
	assert_int_equal(need(&ns, LEAVE + 1, "conntrack-entries has 50 left"), CRITICAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(so_many_can_be_opened),
	        cmocka_unit_test(that_rate_can_last),
	        cmocka_unit_test(the_conntrack_table_has_room),
	};
	seed = seed_of_run(argc, argv);
	note("seed %ju", (uintmax_t)seed);
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
