/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The promise of headroom for file-descriptors, time-wait-buckets, accept-queue and client-ports:
 * so many more succeed, and then the kernel refuses. LASTPORT_SEED and LASTPORT_ROUNDS choose.
 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ask.h"
#include "random.h"

enum { ROUNDS = 25 };

static uint64_t seed;

/* One namespace over lo with a listener of each family on port 80. */
struct place {
	struct lab_ns ns;
	struct lab_addr at[2];
	int listeners[2];
	struct lab_fds fds;
};

static void place_make(struct place *place, int backlog)
{
	struct lp_error err = {0};
	*place = (struct place){.ns = LAB_NS_NONE,
	                        .at = {lab_addr("127.0.0.1", 80), lab_addr("::1", 80)}};
	assert_ok(lab_ns_make(&place->ns, &err), err);
	for (int i = 0; i < 2; i++) {
		struct lab_how how = {.ns = &place->ns, .from = &place->at[i]};
		place->listeners[i] = must(lab_listen(&how, backlog));
		must(lab_hold(&place->fds, place->listeners[i]));
	}
}

static void place_done(struct place *place)
{
	lab_fds_done(&place->fds);
	lab_ns_done(&place->ns);
}

/* ---- file-descriptors ----------------------------------------------------------------------- */

struct opener {
	uint64_t seed;
	int command; /* the child goes on when this can be read */
};

/* Opens some descriptors, here and there, some above the limit that it then sets itself. */
static void open_some(struct dice *dice, unsigned limit)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned n = dice_pick(dice, 0, 60);
	for (unsigned i = 0; i < n; i++) {
		unsigned low = dice_chance(dice, 50) ? 0 : dice_pick(dice, 0, limit * 2);
		(void)fcntl(null, F_DUPFD, (int)low);
	}
	struct rlimit lower = {.rlim_cur = limit, .rlim_max = limit};
	(void)setrlimit(RLIMIT_NOFILE, &lower);
}

static int opener(void *data, int say)
{
	const struct opener *opener = data;
	struct dice dice = {.state = opener->seed};
	open_some(&dice, dice_pick(&dice, 40, 300));
	char go;
	uint16_t opened = 0;
	if (write(say, "r", 1) != 1 || read(opener->command, &go, 1) != 1)
		return 1;
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		opened++;
	if (errno != EMFILE || write(say, &opened, sizeof(opened)) != sizeof(opened))
		return 1;
	return 0;
}

static void descriptors(void **state)
{
	(void)state;
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++) {
		int command[2];
		must(pipe2(command, O_CLOEXEC));
		struct opener data = {.seed = seed + i, .command = command[0]};
		_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
		must(lab_child_start(&child, opener, &data));
		char ready;
		assert_int_equal(read(child.said, &ready, 1), 1);
		_cleanup_(answer_done) struct answer answer = ask_all();
		const json_t *limit = limit_must(&answer, "file-descriptors", 0,
		                                 json_pack("{s:i}", "pid", (int)child.pid));
		uint16_t opened = 0;
		assert_int_equal(write(command[1], "g", 1), 1);
		assert_int_equal(read(child.said, &opened, sizeof(opened)), sizeof(opened));
		(void)close(command[0]);
		(void)close(command[1]);
		assert_int_equal(limit_figure(limit, "headroom"), opened);
		assert_int_equal(lab_child_wait(&child), 0);
	}
}

/* ---- time-wait-buckets ---------------------------------------------------------------------- */

static int64_t overflows(const struct place *place)
{
	return lab_counter(&place->ns, "TcpExt", "TCPTimeWaitOverflow");
}

/* TIME_WAIT of both families, and FIN_WAIT2 after close(), which counts as well. */
static void use_buckets(struct place *place, struct dice *dice, unsigned n)
{
	struct lab_how how = {.ns = &place->ns};
	for (unsigned i = 0; i < n; i++) {
		unsigned which = dice_pick(dice, 0, 1);
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&how, &place->at[which], place->listeners[which], &pair));
		if (dice_chance(dice, 20)) {
			must(lab_pair_half_close(&pair));
			(void)close(pair.client);
			must(lab_hold(&place->fds, pair.server));
		} else {
			must(lab_pair_close(&pair, dice_chance(dice, 50) ? LAB_CLIENT_FIRST
			                                                 : LAB_SERVER_FIRST));
		}
	}
}

static void buckets(void **state)
{
	(void)state;
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++) {
		struct dice dice = {.state = seed + i};
		struct lp_error err = {0};
		struct place place;
		place_make(&place, 100);
		unsigned most = dice_pick(&dice, 5, 200);
		assert_ok(lab_sysctl(&place.ns, &err, "ipv4/tcp_max_tw_buckets", "%u", most), err);
		use_buckets(&place, &dice, dice_pick(&dice, 0, most + 10));
		int64_t before = overflows(&place);
		_cleanup_(answer_done) struct answer answer = ask_ns(&place.ns);
		const json_t *limit =
		        limit_must(&answer, "time-wait-buckets", place.ns.inode, json_object());
		assert_int_equal(limit_figure(limit, "capacity"), most);
		unsigned made = 0;
		struct lab_how how = {.ns = &place.ns};
		for (; made <= most; made++) {
			must_count(lab_open_and_end(&how, &place.at[0], place.listeners[0],
			                            LAB_CLIENT_FIRST, 1),
			           1);
			if (overflows(&place) != before)
				break;
		}
		assert_int_equal(made, limit_figure(limit, "headroom"));
		place_done(&place);
	}
}

/* ---- accept-queue --------------------------------------------------------------------------- */

/* Connects until one stays in SYN_SENT because the kernel dropped its SYN. */
static unsigned fill_queue(struct place *place, int which)
{
	struct lab_how how = {.ns = &place->ns, .options = LAB_NONBLOCK};
	int64_t before = lab_counter(&place->ns, "TcpExt", "ListenOverflows");
	for (unsigned n = 0; n < 5000; n++) {
		int fd = must(lab_connect(&how, &place->at[which]));
		must(lab_hold(&place->fds, fd));
		if (lab_counter(&place->ns, "TcpExt", "ListenOverflows") != before) {
			assert_int_equal(lab_tcp_state(fd), TCP_SYN_SENT);
			return n;
		}
		must(lab_wait_tcp_state(fd, TCP_ESTABLISHED, LAB_TIMEOUT_MS));
	}
	fail_msg("the queue never filled");
	return 0;
}

static json_t *queue_limit(const struct answer *answer, const struct place *place, int which)
{
	return limit_must(answer, "accept-queue", place->ns.inode,
	                  json_pack("{s:s,s:i}", "listener", which ? "::1" : "127.0.0.1",
	                            "listener_port", 80));
}

static void queues(void **state)
{
	(void)state;
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++) {
		struct dice dice = {.state = seed + i};
		struct lp_error err = {0};
		struct place place;
		unsigned most = dice_pick(&dice, 0, 80);
		place_make(&place, (int)most);
		if (dice_chance(&dice, 30)) {
			/* caps what listen() asks for */
			most = dice_pick(&dice, 1, 40);
			assert_ok(lab_sysctl(&place.ns, &err, "core/somaxconn", "%u", most), err);
			assert_int_equal(listen(place.listeners[0], 80), 0);
			assert_int_equal(listen(place.listeners[1], 80), 0);
		}
		int which = (int)dice_pick(&dice, 0, 1);
		struct lab_how how = {.ns = &place.ns};
		unsigned wait = dice_pick(&dice, 0, most + 1);
		must_count(lab_connect_many(&how, &place.at[which], wait, &place.fds), wait);
		_cleanup_(answer_done) struct answer answer = ask_ns(&place.ns);
		const json_t *limit = queue_limit(&answer, &place, which);
		assert_int_equal(limit_figure(limit, "used"), wait);
		assert_int_equal(fill_queue(&place, which), limit_figure(limit, "headroom"));
		_cleanup_(answer_done) struct answer full = ask_ns(&place.ns);
		limit = queue_limit(&full, &place, which);
		assert_int_equal(limit_figure(limit, "headroom"), 0);
		assert_int_equal(limit_figure(limit, "pressure"), 10000);
		place_done(&place);
	}
}

/* ---- client-ports --------------------------------------------------------------------------- */

static json_t *client_limit(const struct answer *answer, const struct place *place,
                            const char *client)
{
	return limit_must(answer, "client-ports", place->ns.inode,
	                  json_pack("{s:s,s:i,s:s}", "listener", "127.0.0.1", "listener_port", 80,
	                            "client", client));
}

/* What a client holds at a listener; the server's TIME_WAIT gives way to a new SYN. */
static void clients(void **state)
{
	enum { HELD = 7, ENDED = 20 };
	(void)state;
	struct place place;
	place_make(&place, 100);
	struct lab_addr first = lab_addr("127.0.0.5", 0), second = lab_addr("127.0.0.6", 0);
	struct lab_how how = {.ns = &place.ns, .from = &first, .options = LAB_BIND_NO_PORT};
	struct lab_addr ended[ENDED];
	for (int i = 0; i < ENDED; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		must(lab_pair_open(&how, &place.at[0], place.listeners[0], &pair));
		ended[i] = lab_addr_local(pair.client);
		must(lab_pair_close(&pair, LAB_SERVER_FIRST));
	}
	must_count(lab_connect_many(&how, &place.at[0], HELD, &place.fds), HELD);
	how.from = &second;
	must_count(lab_connect_many(&how, &place.at[0], 3, &place.fds), 3);

	_cleanup_(answer_done) struct answer answer = ask_ns(&place.ns);
	const json_t *limit = client_limit(&answer, &place, "127.0.0.5");
	assert_int_equal(limit_figure(limit, "used"), HELD);
	assert_int_equal(limit_figure(limit, "reusable"), ENDED);
	unsigned capacity = limit_figure(limit, "capacity");
	assert_int_equal(capacity, 64512);
	assert_true(limit_assumes(limit, "1024"));
	assert_int_equal(limit_figure(limit, "headroom"), capacity - HELD);
	limit = client_limit(&answer, &place, "127.0.0.6");
	assert_int_equal(limit_figure(limit, "used"), 3);

	for (int i = 0; i < ENDED; i++) {
		struct lab_how again = {
		        .ns = &place.ns, .from = &ended[i], .options = LAB_REUSEADDR};
		int fd = must(lab_connect(&again, &place.at[0]));
		must(lab_hold(&place.fds, fd));
	}
	place_done(&place);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(descriptors),
	        cmocka_unit_test(buckets),
	        cmocka_unit_test(queues),
	        cmocka_unit_test(clients),
	};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
