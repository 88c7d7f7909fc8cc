/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * sock_diag and the programs in the kernel tell the same of random namespaces, but for what only
 * the latter can know. LASTPORT_SEED and LASTPORT_ROUNDS choose.
 */

#include "check.h"

#include <inttypes.h>

#include "ask.h"
#include "world.h"

enum { ROUNDS = 250, TELL = 20 };

static uint64_t seed;

struct tally {
	unsigned rounds, limits, moved, wrong;
};

/* Figures that sockets alone decide, and no clock but through `reusable`. */
static const char *const figures[] = {"used", "capacity", "headroom", "reusable", "states"};

static bool same_figures(const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		json_t *x = json_object_get(a, figures[i]), *y = json_object_get(b, figures[i]);
		if ((x || y) && !json_equal(x, y))
			return false;
	}
	return true;
}

/* How many are gone after so many seconds; that only rises from look to look of a quiet world. */
static json_int_t drained(const json_t *limit, size_t step)
{
	const json_t *pair = json_array_get(json_object_get(limit, "drain"), step);
	return json_integer_value(json_array_get(pair, 1));
}

static bool drains_between(const json_t *earlier, const json_t *later, const json_t *between)
{
	size_t steps = json_array_size(json_object_get(earlier, "drain"));
	if (json_array_size(json_object_get(between, "drain")) != steps)
		return false;
	for (size_t i = 0; i < steps; i++)
		if (drained(between, i) < drained(earlier, i) ||
		    drained(between, i) > drained(later, i))
			return false;
	return true;
}

static json_t *same_limit(const struct answer *answer, const json_t *limit, uint64_t inode)
{
	return limit_find(answer, json_string_value(json_object_get(limit, "kind")), inode,
	                  json_deep_copy(json_object_get(limit, "scope")));
}

/* Which IPv6 sockets stand in the way of 0.0.0.0 is among what only a program sees. */
static bool comparable(const json_t *limit)
{
	return !limit_assumes(limit, "IPv6");
}

static bool of_namespace(const json_t *limit, uint64_t inode)
{
	const json_t *netns = json_object_get(limit, "netns");
	return (uint64_t)json_integer_value(json_object_get(netns, "inode")) == inode;
}

static void tell(const struct world *w, const json_t *diag, const json_t *bpf, struct tally *tally)
{
	char text[512];
	if (tally->wrong++ >= TELL)
		return;
	char *a = diag ? json_dumps(diag, JSON_COMPACT) : NULL;
	char *b = bpf ? json_dumps(bpf, JSON_COMPACT) : NULL;
	note("%s: diag %s, bpf %s", world_text(w, text, sizeof(text)), a ? a : "none",
	     b ? b : "none");
	free(a);
	free(b);
}

/* What sock_diag told before and after alike, the programs must have told between. */
static void compare(const struct world *w, const struct answer *before, const struct answer *bpf,
                    const struct answer *after, struct tally *tally)
{
	uint64_t inode = w->client.inode;
	json_t *limit;
	size_t i;
	json_array_foreach(json_object_get(bpf->root, "limits"), i, limit)
	{
		if (of_namespace(limit, inode) && !same_limit(before, limit, inode) &&
		    !same_limit(after, limit, inode))
			tell(w, NULL, limit, tally);
	}
	json_array_foreach(json_object_get(before->root, "limits"), i, limit)
	{
		if (!of_namespace(limit, inode) || !comparable(limit))
			continue;
		const json_t *same = same_limit(bpf, limit, inode);
		const json_t *later = same_limit(after, limit, inode);
		tally->limits++;
		if (!later || !same_figures(limit, later))
			tally->moved++;
		else if (!same || !same_figures(limit, same) || !drains_between(limit, later, same))
			tell(w, limit, same, tally);
	}
}

static void one_round(uint64_t round_seed, struct tally *tally)
{
	struct world world;
	world_make(&world, round_seed);
	world_fill(&world);
	_cleanup_(answer_done) struct answer before = ask_ns_by(&world.client, "diag");
	_cleanup_(answer_done) struct answer bpf = ask_ns_by(&world.client, "bpf");
	_cleanup_(answer_done) struct answer after = ask_ns_by(&world.client, "diag");
	assert_false(answer_misses(&bpf, "sockets"));
	assert_false(answer_misses(&bpf, "reader"));
	compare(&world, &before, &bpf, &after, tally);
	world_done(&world);
	tally->rounds++;
}

static void readers_agree(void **state)
{
	(void)state;
	struct tally tally = {0};
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++)
		one_round(seed + i, &tally);
	note("%u rounds, %u limits: %u moved meanwhile, %u differ", tally.rounds, tally.limits,
	     tally.moved, tally.wrong);
	assert_int_equal(tally.wrong, 0);
	assert_in_range(tally.moved, 0, tally.limits / 10);
	assert_true(tally.limits > rounds * 5);
}

/* A namespace that sockets alone hold: nothing leads into it, and its figures are there. */
static void sees_what_only_sockets_hold(void **state)
{
	enum { HELD = 30 };
	(void)state;
	struct lab_ns ns = LAB_NS_NONE;
	struct lp_error err = {0};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	assert_ok(lab_ns_make(&ns, &err), err);
	uint64_t inode = ns.inode;
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_port_range", "30000 30099"), err);
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_reserved_ports", "30001-30005"), err);
	struct lab_addr to = lab_addr("127.0.0.1", 80);
	struct lab_how how = {.ns = &ns, .from = &to}, plain = {.ns = &ns};
	int listener = must(lab_listen(&how, 100));
	must(lab_hold(&fds, listener));
	must_count(lab_connect_many(&plain, &to, HELD, &fds), HELD);
	lab_ns_done(&ns);

	_cleanup_(answer_done) struct answer answer =
	        ask_raw("status", "--json", "--all", "--reader", "bpf", NULL);
	const json_t *limit = limit_must(&answer, "local-ports", inode,
	                                 json_pack("{s:s,s:s,s:i}", "local", "127.0.0.1", "remote",
	                                           "127.0.0.1", "remote_port", 80));
	assert_int_equal(limit_figure(limit, "used"), HELD);
	assert_int_equal(limit_figure(limit, "capacity"), 95);
	assert_true(answer_misses(&answer, "sockets")); /* what listens there */
}

/* Without the rights to load programs sock_diag reads, and says what is missing. */
static void falls_back(void **state)
{
	(void)state;
	const char *binary = getenv("LASTPORT");
	const char *argv[] = {"setpriv", "--bounding-set=-all", "--inh-caps=-all", binary,
	                      "--json",  "--reader=bpf",        "--netns",         "self",
	                      NULL};
	struct lab_output out, errors;
	assert_int_equal(lab_run(argv, 20000, &out, &errors), 0);
	struct answer answer = {.root = json_loads(out.text, 0, NULL)};
	assert_non_null(answer.root);
	assert_string_equal(json_string_value(json_object_get(answer.root, "reader")), "diag");
	assert_true(answer_misses(&answer, "reader"));
	assert_non_null(strstr(out.text, "CAP_BPF and CAP_PERFMON"));
	lab_output_done(&out);
	lab_output_done(&errors);
	answer_done(&answer);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(falls_back),
	        cmocka_unit_test(sees_what_only_sockets_hold),
	        cmocka_unit_test(readers_agree),
	};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
