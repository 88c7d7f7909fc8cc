/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The promise of bind-ports: exactly `headroom` more bind(address, port 0) succeed and the next
 * one is refused. Random namespaces; the kernel is the judge. LASTPORT_SEED and LASTPORT_ROUNDS.
 */

#include "check.h"

#include <errno.h>
#include <sys/socket.h>

#include "ask.h"
#include "world.h"

enum { ROUNDS = 120, TELL = 20 };

static uint64_t seed;

struct tally {
	unsigned addresses, wildcards, exact, missed_one, assumed, wrong;
};

/* Binds until the kernel refuses; then lets go, so that the next address finds what was there. */
static void judge(const struct world *w, const char *local, const json_t *limit,
                  struct tally *tally)
{
	unsigned headroom = limit_figure(limit, "headroom");
	struct lab_addr at = lab_addr(local, 0);
	struct lab_how how = {.ns = &w->client, .from = &at};
	_cleanup_(lab_fds_done) struct lab_fds hold = {0};
	struct lab_count got = lab_bind_many(&how, w->high - w->low + 10, &hold);
	bool odd = (w->high - w->low + 1) % 2;
	if (ask_reader_sees_more())
		assert_false(limit_assumes(limit, "IPv6"));
	tally->addresses++;
	tally->wildcards += !strcmp(local, "0.0.0.0") || !strcmp(local, "::");
	if (got.error == EADDRINUSE && got.n == headroom) {
		tally->exact++;
	} else if (got.error == EADDRINUSE && odd && got.n + 1 == headroom) {
		assert_true(limit_assumes(limit, "odd"));
		tally->missed_one++;
	} else if (got.error == EADDRINUSE && w->bound_six && !strcmp(local, "0.0.0.0") &&
	           !ask_reader_sees_more()) {
		/* An IPv6 socket that was bound to an address is not in its way. */
		assert_true(limit_assumes(limit, "IPv6"));
		assert_in_range(got.n, headroom, limit_figure(limit, "capacity"));
		tally->assumed++;
	} else {
		char text[512];
		if (tally->wrong++ < TELL)
			note("%s; bind(%s, 0): headroom %u, got %u (%s)",
			     world_text(w, text, sizeof(text)), local, headroom, got.n,
			     strerror(got.error));
	}
}

/* Every bind-ports limit of the namespace: addresses in use, and both wildcards. */
static void one_round(uint64_t round_seed, struct tally *tally)
{
	struct world world;
	world_make(&world, round_seed);
	world_fill(&world);
	_cleanup_(answer_done) struct answer answer = ask_ns(&world.client);
	json_t *limit;
	size_t i;
	unsigned wildcards = tally->wildcards;
	json_array_foreach(json_object_get(answer.root, "limits"), i, limit)
	{
		const char *kind = json_string_value(json_object_get(limit, "kind"));
		const json_t *scope = json_object_get(limit, "scope");
		if (!strcmp(kind, "bind-ports"))
			judge(&world, json_string_value(json_object_get(scope, "local")), limit,
			      tally);
	}
	assert_int_equal(tally->wildcards - wildcards, 2);
	world_done(&world);
}

static void bind_headroom_is_exact(void **state)
{
	(void)state;
	struct tally tally = {0};
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++)
		one_round(seed + i, &tally);
	note("%u rounds, %u addresses: %u exact, %u odd ranges missed one, %u as "
	     "assumed, %u wrong",
	     rounds, tally.addresses, tally.exact, tally.missed_one, tally.assumed, tally.wrong);
	assert_int_equal(tally.wrong, 0);
	assert_in_range(tally.missed_one, 0, tally.addresses / 2);
	assert_true(tally.addresses > rounds * 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bind_headroom_is_exact)};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bind", tests, NULL, NULL);
}
