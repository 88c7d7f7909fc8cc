/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sample of the table tells what a full count tells: every pool of which 80 % are in use is
 * there, and exact; what is said to be exact is; what is said to be an estimate is about right.
 * Random namespaces of up to some thousand pools, filled by connect() and by hand. LASTPORT_SEED
 * and LASTPORT_ROUNDS choose.
 */

#include "check.h"

#include "crowd.h"
#include "random.h"

enum { ROUNDS = 12, TELL = 20, BIG_POOLS = 6, LISTENING = 7 };

static uint64_t seed;

struct tally {
	unsigned rounds, sampled, shares, pools, near, exact, estimates, within, missed, wrong;
};

/* ---- a namespace --------------------------------------------------------------------------- */

static void crowd_make(struct crowd *crowd, uint64_t round_seed)
{
	static const unsigned sizes[] = {1200, 2000, 4000, 8000, 16000, 28232};
	*crowd = (struct crowd){.dice = {round_seed}};
	unsigned size = sizes[dice_pick(&crowd->dice, 0, 5)];
	unsigned low = dice_pick(&crowd->dice, 1024, 65535 - size);
	crowd_range(crowd, low, low + size - 1);
}

/* Connections that ended: their other ends listen, and count as a client's. */
static void leave_time_waits(struct crowd *crowd)
{
	struct lab_addr to = lab_addr("127.0.0.1", LISTENING);
	struct lab_how how = {.ns = &crowd->ns}, there = {.ns = &crowd->ns, .from = &to};
	unsigned n = dice_pick(&crowd->dice, 0, 600);
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&there, 500));
	must_count(lab_open_and_end(&how, &to, listener, LAB_CLIENT_FIRST, n), n);
	crowd->pools += n > 0;
	crowd->connections += n;
}

/* A few large pools, most of them about 80 % full, and a crowd of small ones. */
static void crowd_fill(struct crowd *crowd)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&crowd->ns));
	(void)home;
	struct dice *dice = &crowd->dice;
	unsigned size = crowd->high - crowd->low + 1, budget = dice_pick(dice, 8000, 40000);
	unsigned big = dice_pick(dice, 0, BIG_POOLS), small = 1U << dice_pick(dice, 0, 12);
	for (unsigned i = 0; i < big && crowd->connections < budget; i++) {
		bool near = dice_chance(dice, 60);
		unsigned percent = near ? dice_pick(dice, 76, 86) : dice_pick(dice, 20, 100);
		enum style style = (enum style)dice_pick(dice, 0, STYLES - 1);
		/* beyond half of a large range each connect() takes milliseconds */
		if (style == NATURAL && size > 8000)
			percent = percent > 50 ? 50 : percent;
		crowd_pool(crowd, style, size * percent / 100);
	}
	small += dice_pick(dice, 0, small);
	for (unsigned i = 0; i < small && crowd->connections < budget; i++) {
		unsigned most = 2 * (budget - crowd->connections) / (small - i);
		crowd_pool(crowd, NATURAL,
		           dice_pick(dice, 1, most < size / 2 ? most + 1 : size / 2));
	}
	leave_time_waits(crowd); /* last: in 60 s they end */
}

/* ---- looks --------------------------------------------------------------------------------- */

static int compare_pools(const void *a, const void *b)
{
	const struct lp_pool *x = a, *y = b;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static const struct lp_pool *find(const struct lp_netns *netns, const struct lp_pool *pool)
{
	return bsearch(pool, netns->pools, netns->n_pools, sizeof(*pool), compare_pools);
}

static void sort(const struct lp_snapshot *snapshot)
{
	const struct lp_netns *netns = &snapshot->netns[0];
	if (netns->n_pools)
		qsort(netns->pools, netns->n_pools, sizeof(*netns->pools), compare_pools);
}

static bool same_states(const struct lp_pool *a, const struct lp_pool *b)
{
	return a && b && !memcmp(a->states, b->states, sizeof(a->states));
}

static uint32_t capacity(const struct lp_netns *netns)
{
	return lp_netns_range_ports(netns) - netns->held;
}

static void tell(const struct crowd *crowd, uint64_t round_seed, const char *what,
                 const struct lp_pool *all, const struct lp_pool *sampled, struct tally *tally)
{
	char to[LP_ADDRESS_TEXT];
	if (tally->wrong++ < TELL)
		note("seed %llu: %u ports, %u connections: %s: %s: %u, %u",
		     (unsigned long long)round_seed, crowd->high - crowd->low + 1,
		     crowd->connections, what,
		     lp_address_port_text(&(all ? all : sampled)->key.remote,
		                          (all ? all : sampled)->key.port, to),
		     all ? lp_pool_total(all) : 0, sampled ? lp_pool_total(sampled) : 0);
}

/* What the sample says of each pool beside what there is. */
static void judge(const struct crowd *crowd, uint64_t round_seed, const struct lp_netns *all,
                  const struct lp_netns *sampled, struct tally *tally)
{
	for (size_t i = 0; i < sampled->n_pools; i++) {
		const struct lp_pool *pool = &sampled->pools[i], *true_pool = find(all, pool);
		if (!true_pool) {
			tell(crowd, round_seed, "no such pool", NULL, pool, tally);
		} else if (!pool->about) {
			tally->exact++;
			if (!same_states(pool, true_pool))
				tell(crowd, round_seed, "not exact", true_pool, pool, tally);
		} else {
			int off = (int)lp_pool_total(pool) - (int)lp_pool_total(true_pool);
			tally->estimates++;
			tally->within += abs(off) <= pool->about;
		}
	}
	for (size_t i = 0; i < all->n_pools; i++) {
		const struct lp_pool *true_pool = &all->pools[i], *pool = find(sampled, true_pool);
		tally->pools++;
		if (true_pool->key.side != LP_OPENED ||
		    lp_pool_total(true_pool) * 5 < capacity(all) * 4)
			continue;
		tally->near++;
		if (!pool || pool->about) {
			tally->missed++;
			tell(crowd, round_seed, "near, and not counted", true_pool, pool, tally);
		}
	}
}

static void same_counts(const struct lp_netns *a, const struct lp_netns *b)
{
	assert_int_equal(a->n_pools, b->n_pools);
	assert_int_equal(a->held, b->held);
	for (size_t i = 0; i < a->n_pools; i++)
		if (compare_pools(&a->pools[i], &b->pools[i]) ||
		    !same_states(&a->pools[i], &b->pools[i]))
			fail_msg("the readers differ: %u and %u in a pool",
			         lp_pool_total(&a->pools[i]), lp_pool_total(&b->pools[i]));
}

/* What bind() gets is known from the ports, whatever of the connections was read. */
static void same_binds(const struct lp_netns *all, const struct lp_netns *sampled)
{
	assert_int_equal(all->n_binds, sampled->n_binds);
	for (size_t i = 0; i < all->n_binds; i++) {
		const struct lp_bind_address *a = &all->binds[i], *b = NULL;
		for (size_t k = 0; k < sampled->n_binds; k++)
			if (lp_address_equal(&a->address, &sampled->binds[k].address))
				b = &sampled->binds[k];
		assert_non_null(b);
		assert_int_equal(a->held + a->taken, b->held + b->taken);
	}
}

static void one_round(uint64_t round_seed, struct tally *tally)
{
	struct crowd crowd;
	crowd_make(&crowd, round_seed);
	crowd_fill(&crowd);
	struct lp_look_options by_diag = {.reader = LP_READ_DIAG};
	struct lp_look_options exact = {.reader = LP_READ_BPF, .exact = true};
	struct lp_look_options sample = {
	        .reader = LP_READ_BPF,
	        .sample = crowd.connections / dice_pick(&crowd.dice, 4, 100) + 1};
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *diag = crowd_look(&crowd.ns, by_diag);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *all = crowd_look(&crowd.ns, exact);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *sampled = crowd_look(&crowd.ns, sample);
	sort(diag);
	sort(all);
	sort(sampled);
	same_counts(&diag->netns[0], &all->netns[0]);
	same_binds(&all->netns[0], &sampled->netns[0]);
	assert_int_equal(all->netns[0].sampled, 0);
	tally->rounds++;
	tally->sampled += sampled->netns[0].sampled > 0;
	tally->shares += sampled->netns[0].sampled;
	judge(&crowd, round_seed, &all->netns[0], &sampled->netns[0], tally);
	crowd_done(&crowd);
}

static void none_is_missed(void **state)
{
	(void)state;
	struct tally tally = {0};
	unsigned rounds = rounds_of_run(ROUNDS);
	for (unsigned i = 0; i < rounds; i++)
		one_round(seed + i, &tally);
	note("%u rounds, %u sampled (one in %u on average), %u pools: %u at 80 %% or more, %u "
	     "missed; %u exact, %u estimates of which %u within their error; %u wrong",
	     tally.rounds, tally.sampled, tally.sampled ? tally.shares / tally.sampled : 0,
	     tally.pools, tally.near, tally.missed, tally.exact, tally.estimates, tally.within,
	     tally.wrong);
	assert_int_equal(tally.missed, 0);
	assert_int_equal(tally.wrong, 0);
	assert_true(tally.sampled * 4 > rounds);
	assert_true(tally.within * 100 >= tally.estimates * 90);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(none_is_missed),
	};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
