/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sample tells the truth while connections come and go: the pool of which 80 % are in use is
 * named and counted, estimates are within the error that they state, and all together are as many
 * as sockstat counts. What a sample can't tell is said. LASTPORT_SEED and LASTPORT_ROUNDS (looks)
 * choose.
 */

#include "check.h"

#include <math.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/owners.h"
#include "crowd.h"
#include "kernel/owners.h"
#include "limit/limit.h"

enum {
	LOOKS = 12,
	LOW = 20000,
	PORTS = 4000,
	NEAR = 3300,    /* stay in the pool that is near its limit … */
	CHANGING = 240, /* … beside so many that come and go */
	MIDDLE = 1400,  /* of a pool that is not */
	SMALL = 150,
	SMALL_POOLS = 60,
	FLEETING = 200, /* to somewhere else each time */
	CHURNERS = 2,
	SHARE = 8,
	TRIES = 20, /* the table is nearly empty: a few buckets may show nothing, and all is read */
	PORT = 80,
	NEAR_AT = 1,
	MIDDLE_AT = 2,
	SMALL_AT = 3,
	STABLE = NEAR + MIDDLE + SMALL * SMALL_POOLS,
	COMING = CHANGING + FLEETING * CHURNERS,
};

static uint64_t seed;

static void fill(struct crowd *crowd, uint32_t address, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		crowd_hold(crowd, must(crowd_open_alone(AF_INET, address, PORT, LOW + i)));
}

static void crowd_make(struct crowd *crowd)
{
	*crowd = (struct crowd){.dice = {seed}};
	crowd_range(crowd, LOW, LOW + PORTS - 1);
	_cleanup_(lab_leave) int home = must(lab_enter(&crowd->ns));
	(void)home;
	fill(crowd, NEAR_AT, NEAR);
	fill(crowd, MIDDLE_AT, MIDDLE);
	for (uint32_t i = 0; i < SMALL_POOLS; i++)
		fill(crowd, SMALL_AT + i, SMALL);
}

/* ---- who comes and goes -------------------------------------------------------------------- */

struct churner {
	const struct crowd *crowd;
	unsigned number;
	_Atomic uint64_t *opened; /* by all of them */
};

static bool keep(struct lab_fds *fds, int fd)
{
	return fd >= 0 && lab_hold(fds, fd) >= 0;
}

/* Again and again: ports of the pool that is near, and a pool that nobody had before. */
static int churn(void *data, int say)
{
	const struct churner *churner = data;
	struct dice dice = {seed + churner->number};
	unsigned mine = CHANGING / CHURNERS, first = LOW + NEAR + churner->number * mine;
	if (lab_enter(&churner->crowd->ns) < 0 || write(say, "", 1) != 1)
		return 1;
	for (;;) {
		_cleanup_(lab_fds_done) struct lab_fds fds = {0};
		uint32_t elsewhere = dice_pick(&dice, 1 << 16, 1 << 22);
		bool good = true;
		for (unsigned i = 0; i < mine; i++)
			good &= keep(&fds, crowd_open_alone(AF_INET, NEAR_AT, PORT, first + i));
		for (unsigned i = 0; i < FLEETING; i++)
			good &= keep(&fds, crowd_open_alone(AF_INET, elsewhere, PORT, 0));
		if (!good)
			return 2;
		atomic_fetch_add(churner->opened, mine + FLEETING);
	}
}

/* ---- what is told of it -------------------------------------------------------------------- */

static const struct lp_pool *pool_to(const struct lp_netns *netns, uint32_t address)
{
	uint32_t number = htonl(INADDR_LOOPBACK + address);
	const struct lp_address to = lp_address_make(AF_INET, &number, 0);
	for (size_t i = 0; i < netns->n_pools; i++)
		if (netns->pools[i].key.side == LP_OPENED && netns->pools[i].key.port == PORT &&
		    lp_address_equal(&netns->pools[i].key.remote, &to))
			return &netns->pools[i];
	return NULL;
}

struct tally {
	unsigned looks, sampled, estimates, within, share;
};

static void judge_estimate(const struct lp_netns *netns, uint32_t address, unsigned n,
                           struct tally *tally)
{
	const struct lp_pool *pool = pool_to(netns, address);
	if (!pool)
		return; /* of a small one there need be nothing in the sample */
	tally->estimates++;
	tally->within += abs((int)lp_pool_total(pool) - (int)n) <= pool->about;
}

/* All of them beside sockstat, whose text is a little older. */
static void judge_total(const struct lp_netns *netns)
{
	uint64_t told = lp_netns_in_use(netns).n + netns->time_wait.n, read = 0;
	for (int state = 0; state < LP_STATES; state++)
		read += netns->states[state];
	double chance = 8 * sqrt((double)told * netns->sampled);
	assert_in_range(told, STABLE, STABLE + COMING);
	if (fabs((double)read - (double)told) > chance + COMING)
		fail_msg("%u sockets, where sockstat tells of %u", (unsigned)read, (unsigned)told);
}

static void judge(const struct lp_netns *netns, struct tally *tally)
{
	const struct lp_pool *near = pool_to(netns, NEAR_AT);
	assert_non_null(near);
	assert_int_equal(near->about, 0);
	assert_in_range(lp_pool_total(near), NEAR, NEAR + CHANGING);
	judge_estimate(netns, MIDDLE_AT, MIDDLE, tally);
	for (uint32_t i = 0; i < SMALL_POOLS; i++)
		judge_estimate(netns, SMALL_AT + i, SMALL, tally);
	judge_total(netns);
	tally->looks++;
	tally->sampled += netns->sampled > 0;
	tally->share = netns->sampled ? netns->sampled : tally->share;
}

/* They opened some to the end. */
static bool goes_on(const _Atomic uint64_t *opened, uint64_t before)
{
	for (int64_t begin = lp_clock_ns(); lp_clock_ns() - begin < INT64_C(10000000000);)
		if (atomic_load(opened) > before)
			return true;
	return false;
}

static void a_sample_holds_while_connections_come_and_go(void **state)
{
	const struct crowd *crowd = *state;
	struct lab_child children[CHURNERS] = {LAB_CHILD_NONE, LAB_CHILD_NONE};
	struct churner churners[CHURNERS];
	struct tally tally = {0};
	_Atomic uint64_t *opened = mmap(NULL, sizeof(*opened), PROT_READ | PROT_WRITE,
	                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(opened, MAP_FAILED);
	for (unsigned i = 0; i < CHURNERS; i++) {
		churners[i] = (struct churner){crowd, i, opened};
		must(lab_child_start(&children[i], churn, &churners[i]));
	}
	const struct lp_look_options sample = {.reader = LP_READ_BPF, .sample = STABLE / SHARE + 1};
	unsigned looks = rounds_of_run(LOOKS);
	for (unsigned i = 0; i < looks; i++) {
		_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot =
		        crowd_look(&crowd->ns, sample);
		judge(&snapshot->netns[0], &tally);
	}
	uint64_t all = atomic_load(opened);
	assert_true(goes_on(opened, all));
	for (unsigned i = 0; i < CHURNERS; i++)
		lab_child_stop(&children[i]);
	(void)munmap(opened, sizeof(*opened));
	note("%u looks, %u at one in %u, while %llu connections came and went: %u of %u estimates "
	     "within their error",
	     tally.looks, tally.sampled, tally.share, (unsigned long long)all, tally.within,
	     tally.estimates);
	assert_true(tally.sampled * 2 > looks);
	assert_true(all > looks);
	assert_true(tally.within * 100 >= tally.estimates * 90);
}

/* ---- what is not told ---------------------------------------------------------------------- */

/* How many gaps of that name there are; each has to say how to have it told. */
static unsigned gaps_of(const struct lp_snapshot *snapshot, const char *what)
{
	unsigned n = 0;
	for (size_t i = 0; i < snapshot->n_gaps; i++) {
		if (strcmp(snapshot->gaps[i].what, what) != 0)
			continue;
		assert_non_null(strstr(snapshot->gaps[i].why, "--exact"));
		n++;
	}
	return n;
}

static void assert_gaps(const struct crowd *crowd, struct lp_look_options options, unsigned each)
{
	_cleanup_(lp_owner_notes_done) struct lp_owner_notes notes = {0};
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	struct lp_error err = {0};
	assert_ok(lp_kernel_open(&kernel, &err), err);
	options.notes = &notes;
	struct lp_report report = {.snapshot = crowd_look(&crowd->ns, options)};
	for (int i = 0; i < TRIES && options.sample && !report.snapshot->netns[0].sampled; i++) {
		lp_snapshot_free(report.snapshot);
		report.snapshot = crowd_look(&crowd->ns, options);
	}
	must(lp_limits_collect(report.snapshot, NULL, &report.limits));
	must(lp_report_owners(&kernel, &notes, &report));
	assert_int_equal(gaps_of(report.snapshot, "syn-queue"), each);
	assert_int_equal(gaps_of(report.snapshot, "owners"), each);
	lp_limits_done(&report.limits);
	lp_snapshot_free(report.snapshot);
}

static void what_a_sample_leaves_out_is_said(void **state)
{
	const struct crowd *crowd = *state;
	struct lab_addr at = lab_addr("127.0.0.1", 7);
	struct lab_how how = {.ns = &crowd->ns, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 8));
	(void)listener;
	assert_gaps(crowd, (struct lp_look_options){.reader = LP_READ_BPF, .exact = true}, 0);
	assert_gaps(crowd, (struct lp_look_options){.reader = LP_READ_DIAG}, 0);
	assert_gaps(crowd,
	            (struct lp_look_options){.reader = LP_READ_BPF, .sample = STABLE / SHARE + 1},
	            1);
}

static int make(void **state)
{
	static struct crowd crowd;
	crowd_make(&crowd);
	*state = &crowd;
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_sample_holds_while_connections_come_and_go),
	        cmocka_unit_test(what_a_sample_leaves_out_is_said),
	};
	seed = seed_of_run(argc, argv);
	(void)lab_raise_descriptors();
	note("seed %llu", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sample-churn", tests, make, crowd_unmake);
}
