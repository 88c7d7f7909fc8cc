/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The promise: on a quiet namespace exactly `headroom` more connects succeed and the next one is
 * refused. Random namespaces; the kernel is the judge. LASTPORT_SEED and LASTPORT_ROUNDS choose.
 */

#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "ask.h"
#include "world.h"

enum { ROUNDS = 220, TELL = 20 };

static uint64_t seed;

struct tally {
	unsigned rounds, pools, fresh, exact, missed_one, wrong, stale;
};

/* The limit of a pool; of a new destination where the pool is not in use. */
static json_t *limit_of(const struct answer *answer, const struct world *w,
                        const struct world_pool *pool, struct tally *tally)
{
	uint64_t inode = w->client.inode;
	json_t *limit = limit_find(answer, "local-ports", inode,
	                           json_pack("{s:s,s:s,s:i}", "local", pool->local, "remote",
	                                     pool->remote, "remote_port", pool->port));
	tally->pools++;
	if (limit)
		return limit;
	tally->fresh++;
	const char *any = pool->family == AF_INET6 ? "::" : "0.0.0.0";
	return limit_must(answer, "local-ports", inode,
	                  json_pack("{s:s,s:n,s:n}", "local", any, "remote", "remote_port"));
}

/* What was promised, and what is there by now. */
static void tell_wrong(const struct world *w, const struct world_pool *pool, const json_t *limit,
                       struct lab_count got, struct tally *tally)
{
	char text[512];
	if (tally->wrong++ >= TELL)
		return;
	struct tally ignored = {0};
	_cleanup_(answer_done) struct answer later = ask_ns(&w->client);
	char *promised = json_dumps(limit, JSON_COMPACT);
	char *now = json_dumps(limit_of(&later, w, pool, &ignored), JSON_COMPACT);
	note("%s; %s -> [%s]:%u: headroom %u, got %u (%s); promised %s; now %s",
	     world_text(w, text, sizeof(text)), pool->local, pool->remote, pool->port,
	     limit_figure(limit, "headroom"), got.n, strerror(got.error), promised, now);
	free(promised);
	free(now);
}

/* Connects until the kernel refuses. */
static void judge(struct world *w, struct world_pool *pool, const json_t *limit,
                  struct tally *tally)
{
	unsigned headroom = limit_figure(limit, "headroom");
	if (ask_reader_sees_more()) {
		assert_false(limit_assumes(limit, "bind()"));
		assert_false(limit_assumes(limit, "timestamps"));
	}
	unsigned most = w->high - w->low + 10;
	struct lab_count got = lab_connect_many(&pool->how, &pool->to, most, &w->fds);
	if (w->stale_ns && lp_clock_ns() > w->stale_ns) {
		tally->stale++;
		return;
	}
	bool odd = (w->high - w->low + 1) % 2;
	if (got.error == EADDRNOTAVAIL && got.n == headroom) {
		tally->exact++;
	} else if (got.error == EADDRNOTAVAIL && odd && got.n + 1 == headroom) {
		assert_true(limit_assumes(limit, "odd"));
		tally->missed_one++;
	} else {
		tell_wrong(w, pool, limit, got, tally);
	}
}

static void one_round(uint64_t round_seed, struct tally *tally)
{
	struct world world;
	world_make(&world, round_seed);
	world.bind_first = ask_reader_sees_more();
	world_fill(&world);
	_cleanup_(answer_done) struct answer answer = ask_ns(&world.client);
	assert_false(answer_misses(&answer, "sockets"));
	for (size_t i = 0; i < world.n_pools; i++) {
		struct world_pool *pool = &world.pools[i];
		judge(&world, pool, limit_of(&answer, &world, pool, tally), tally);
	}
	world_done(&world);
	tally->rounds++;
}

static void headroom_is_exact(void **state)
{
	(void)state;
	struct tally tally = {0};
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++)
		one_round(seed + i, &tally);
	note("%u rounds, %u pools (%u of them new destinations): %u exact, %u odd ranges missed "
	     "one, %u wrong; %u came too late to be judged",
	     tally.rounds, tally.pools, tally.fresh, tally.exact, tally.missed_one, tally.wrong,
	     tally.stale);
	assert_int_equal(tally.wrong, 0);
	assert_in_range(tally.stale, 0, tally.pools / 10);
	/* An odd range misses one now and then; more often than not it does not. */
	assert_in_range(tally.missed_one, 0, tally.pools / 2);
}

/* One namespace over lo, for what is not left to chance. */
struct one {
	struct lab_ns ns;
	struct lab_addr to, other;
	int listener, other_listener;
	struct lab_fds fds;
};

static int one_setup(void **state)
{
	static struct one one;
	struct lp_error err = {0};
	one = (struct one){.ns = LAB_NS_NONE};
	*state = &one;
	assert_ok(lab_ns_make(&one.ns, &err), err);
	assert_ok(lab_sysctl(&one.ns, &err, "ipv4/ip_local_port_range", "30000 30099"), err);
	one.to = lab_addr("127.0.0.1", 80);
	one.other = lab_addr("127.0.0.1", 81);
	struct lab_how how = {.ns = &one.ns, .from = &one.to};
	one.listener = must(lab_listen(&how, 500));
	how.from = &one.other;
	one.other_listener = must(lab_listen(&how, 500));
	return 0;
}

static int one_teardown(void **state)
{
	struct one *one = *state;
	lab_fds_done(&one->fds);
	(void)close(one->listener);
	(void)close(one->other_listener);
	lab_ns_done(&one->ns);
	return 0;
}

static json_t *one_limit(const struct answer *answer, const struct one *one)
{
	return limit_must(answer, "local-ports", one->ns.inode,
	                  json_pack("{s:s,s:s,s:i}", "local", "127.0.0.1", "remote", "127.0.0.1",
	                            "remote_port", 80));
}

/*
 * A port that bind() chose is lost to every destination, which sock_diag does not show: exact for
 * the destination itself, an assumption for others.
 */
static void bind_before_connect(void **state)
{
	struct one *one = *state;
	struct lp_error err = {0};
	assert_ok(lab_sysctl(&one->ns, &err, "ipv4/tcp_tw_reuse", "0"), err);
	struct lab_addr from = lab_addr("127.0.0.1", 0);
	struct lab_how bound = {.ns = &one->ns, .from = &from}, plain = {.ns = &one->ns};
	must_count(lab_connect_many(&bound, &one->to, 10, &one->fds), 10);
	for (int i = 0; i < 10; i++) {
		int server = must(lab_accept(one->listener, LAB_TIMEOUT_MS));
		must(lab_hold(&one->fds, server));
	}
	must_count(lab_open_and_end(&bound, &one->to, one->listener, LAB_CLIENT_FIRST, 20), 20);

	_cleanup_(answer_done) struct answer answer = ask_ns(&one->ns);
	const json_t *fresh =
	        limit_must(&answer, "local-ports", one->ns.inode,
	                   json_pack("{s:s,s:n,s:n}", "local", "0.0.0.0", "remote", "remote_port"));
	if (ask_reader_sees_more()) {
		assert_int_equal(limit_figure(fresh, "headroom"), 70);
		assert_null(json_object_get(fresh, "assumed"));
	} else {
		assert_int_equal(limit_figure(one_limit(&answer, one), "headroom"), 70);
		assert_true(limit_assumes(fresh, "bind()"));
	}

	struct lab_count got = lab_connect_many(&plain, &one->to, 200, &one->fds);
	assert_int_equal(got.n, 70);
	assert_int_equal(got.error, EADDRNOTAVAIL);
	got = lab_connect_many(&plain, &one->other, 200, &one->fds);
	assert_int_equal(got.n, 70); /* what the assumption is about */
}

/* Without bind() before connect(), nothing is assumed about it. */
static void plain_connects_assume_nothing(void **state)
{
	struct one *one = *state;
	struct lab_how plain = {.ns = &one->ns};
	must_count(lab_connect_many(&plain, &one->to, 80, &one->fds), 80);
	_cleanup_(answer_done) struct answer answer = ask_ns(&one->ns);
	const json_t *limit = one_limit(&answer, one);
	assert_int_equal(limit_figure(limit, "headroom"), 20);
	assert_null(json_object_get(limit, "assumed"));
}

/* What the kernel would take again is told apart, and how that is known. */
static void reusable_is_told(void **state)
{
	struct one *one = *state;
	struct lp_error err = {0};
	struct lab_how plain = {.ns = &one->ns};
	must_count(lab_open_and_end(&plain, &one->to, one->listener, LAB_CLIENT_FIRST, 30), 30);
	assert_ok(lab_sysctl(&one->ns, &err, "ipv4/tcp_tw_reuse_delay", "1"), err);
	_cleanup_(answer_done) struct answer answer = ask_ns(&one->ns);
	const json_t *limit = one_limit(&answer, one);
	assert_int_equal(limit_figure(limit, "reusable"), 30);
	assert_int_equal(limit_figure(limit, "used"), 0);
	assert_int_equal(limit_figure(limit, "headroom"), 100);
	assert_int_equal(limit_assumes(limit, "timestamps"), !ask_reader_sees_more());
	const json_t *states = json_object_get(limit, "states");
	assert_int_equal(json_integer_value(json_object_get(states, "time_wait")), 30);
	struct lab_count got = lab_connect_many(&plain, &one->to, 200, &one->fds);
	assert_int_equal(got.n, 100);
}

/*
 * Where the other end has timestamps off, TIME_WAIT can't be taken again, and nothing that
 * sock_diag shows tells: an assumption.
 */
static void timestamps_of_the_other_end(void **state)
{
	struct one *one = *state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns other = LAB_NS_NONE;
	assert_ok(lab_ns_make(&other, &err), err);
	assert_ok(lab_veth(&one->ns, "c0", &other, "s0", &err), err);
	assert_ok(lab_address(&one->ns, "c0", "10.1.0.1/24", &err), err);
	assert_ok(lab_address(&other, "s0", "10.1.0.2/24", &err), err);
	assert_ok(lab_sysctl(&other, &err, "ipv4/tcp_timestamps", "0"), err);
	assert_ok(lab_sysctl(&one->ns, &err, "ipv4/tcp_tw_reuse", "1"), err);
	assert_ok(lab_sysctl(&one->ns, &err, "ipv4/tcp_tw_reuse_delay", "1"), err);
	struct lab_addr to = lab_addr("10.1.0.2", 80);
	struct lab_how there = {.ns = &other, .from = &to}, plain = {.ns = &one->ns};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&there, 500));
	must_count(lab_open_and_end(&plain, &to, listener, LAB_CLIENT_FIRST, 30), 30);

	_cleanup_(answer_done) struct answer answer = ask_ns(&one->ns);
	const json_t *limit =
	        limit_must(&answer, "local-ports", one->ns.inode,
	                   json_pack("{s:s,s:i}", "remote", "10.1.0.2", "remote_port", 80));
	assert_int_equal(limit_figure(limit, "headroom"), ask_reader_sees_more() ? 70 : 100);
	assert_int_equal(limit_assumes(limit, "timestamps"), !ask_reader_sees_more());
	struct lab_count got = lab_connect_many(&plain, &to, 200, &one->fds);
	assert_int_equal(got.n, 70);
	assert_int_equal(got.error, EADDRNOTAVAIL);
}

/* Opens some connections and resets them, over and over, in a namespace of its own. */
struct churn {
	struct lab_ns ns;
	struct lab_addr to;
	int listener;
	atomic_bool stop;
	int error; /* negative errno; valid after the thread's end */
};

static void *churn_run(void *data)
{
	enum { AT_ONCE = 200 };
	struct churn *churn = data;
	struct lab_how how = {.ns = &churn->ns};
	while (!atomic_load(&churn->stop) && churn->error == 0) {
		struct lab_pair pairs[AT_ONCE];
		size_t n = 0;
		while (n < AT_ONCE && churn->error == 0) {
			churn->error = lab_pair_open(&how, &churn->to, churn->listener, &pairs[n]);
			n += churn->error == 0;
		}
		int r = lab_pairs_close(pairs, n, LAB_RESET);
		churn->error = churn->error ? churn->error : r;
	}
	return NULL;
}

/* Sockets that come and go elsewhere must not hide one that holds a port here. */
static void held_while_others_are_busy(void **state)
{
	enum { LOOKS = 60, QUIET = 20 };
	(void)state;
	struct lp_error err = {0};
	struct lab_ns quiet[QUIET];
	struct churn churn = {.to = lab_addr("127.0.0.1", 80)};
	assert_ok(lab_ns_make(&churn.ns, &err), err);
	for (int i = 0; i < QUIET; i++) /* are read after the busy one, which takes its time */
		assert_ok(lab_ns_make(&quiet[i], &err), err);
	const struct lab_ns *ns = &quiet[0];
	assert_ok(lab_sysctl(ns, &err, "ipv4/ip_local_port_range", "30000 30099"), err);
	struct lab_addr at = lab_addr("127.0.0.1", 30050);
	struct lab_how there = {.ns = &churn.ns, .from = &churn.to},
	               bound = {.ns = ns, .from = &at};
	churn.listener = must(lab_listen(&there, 300));
	int held = must(lab_bound(&bound));
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, ns->inode);

	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, churn_run, &churn), 0);
	unsigned right = 0;
	for (int i = 0; i < LOOKS; i++) {
		_cleanup_(answer_done) struct answer answer =
		        ask_raw("status", "--json", "--all", "--netns", inode, "--reader",
		                ask_reader_sees_more() ? "bpf" : "diag", NULL);
		const json_t *limit =
		        limit_must(&answer, "local-ports", ns->inode,
		                   json_pack("{s:s,s:n}", "local", "0.0.0.0", "remote"));
		right += limit_figure(limit, "capacity") == 99;
	}
	atomic_store(&churn.stop, true);
	(void)pthread_join(thread, NULL);
	(void)close(held);
	(void)close(churn.listener);
	for (int i = 0; i < QUIET; i++)
		lab_ns_done(&quiet[i]);
	lab_ns_done(&churn.ns);
	assert_int_equal(churn.error, 0);
	assert_int_equal(right, LOOKS);
}

#define in_one(function) cmocka_unit_test_setup_teardown(function, one_setup, one_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        in_one(plain_connects_assume_nothing), in_one(reusable_is_told),
	        in_one(timestamps_of_the_other_end),   in_one(bind_before_connect),
	        in_one(held_while_others_are_busy),    cmocka_unit_test(headroom_is_exact),
	};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("headroom", tests, NULL, NULL);
}
