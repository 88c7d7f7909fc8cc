/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sample of the table tells what a full count tells: every pool of which 80 % are in use is
 * there, and exact; what is said to be exact is; what is said to be an estimate is about right.
 * Random namespaces of up to some thousand pools, filled by connect() and by hand. LASTPORT_SEED
 * and LASTPORT_ROUNDS choose.
 */

#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel/kernel.h"
#include "random.h"

enum { ROUNDS = 12, TELL = 20, BIG_POOLS = 6, LISTENING = 7, HOLD = 15000, HOLDERS = 8 };

static uint64_t seed;

struct tally {
	unsigned rounds, sampled, shares, pools, near, exact, estimates, within, missed, wrong;
};

struct crowd {
	struct dice dice;
	struct lab_ns ns;
	unsigned low, high, connections, pools;
	struct lab_fds fds;
	pid_t holders[HOLDERS]; /* processes that hold what does not fit into this one */
	unsigned n_holders;
};

/* ---- connections that nobody answers ------------------------------------------------------- */

/* To 127.x.y.z or ::1, as if it were established: no packet, no listener, and no TIME_WAIT. */
static int open_alone(int family, uint32_t address, uint16_t port, unsigned local_port)
{
	enum { PORT_RANGE_OPTION = 51 }; /* IP_LOCAL_PORT_RANGE, Linux 6.3: chosen, not bound */
	struct sockaddr_in four = {.sin_family = AF_INET,
	                           .sin_port = htons(port),
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK + address)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6,
	                           .sin6_port = htons(port),
	                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *to =
	        family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
	socklen_t size = family == AF_INET ? sizeof(four) : sizeof(six);
	_cleanup_(lp_close_fd) int fd = must(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	uint32_t range = local_port | local_port << 16;
	int one = 1;
	must(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)));
	if (local_port)
		must(setsockopt(fd, IPPROTO_IP, PORT_RANGE_OPTION, &range, sizeof(range)));
	return connect(fd, to, size) < 0 ? lp_errno() : lp_take_fd(fd);
}

/* A process may not have as many descriptors as it takes: others hold them. */
static void hold(struct crowd *crowd, int fd)
{
	must(lab_hold(&crowd->fds, fd));
	if (crowd->fds.n < HOLD || crowd->n_holders == HOLDERS)
		return;
	pid_t pid = must(fork());
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
			(void)pause();
		_exit(EXIT_SUCCESS);
	}
	crowd->holders[crowd->n_holders++] = pid;
	lab_fds_done(&crowd->fds);
	crowd->fds = (struct lab_fds){0};
}

enum style { NATURAL, IN_A_ROW, ONE_PARITY, STREWN, IN_BLOCKS, STYLES };

/* The local port of the n-th connection of a pool; 0: connect() chooses. */
static unsigned port_of(struct crowd *crowd, enum style style, unsigned first, unsigned n)
{
	unsigned size = crowd->high - crowd->low + 1, offset = 0;
	if (style == NATURAL)
		return 0;
	if (style == IN_A_ROW)
		offset = first + n;
	else if (style == ONE_PARITY)
		offset = 2 * (first + n) + (2 * n >= size);
	else if (style == STREWN)
		offset = dice_pick(&crowd->dice, 0, size - 1);
	else /* every other eight */
		offset = (first + n / 8 * 16 + n % 8) + (n * 2 >= size ? 8 : 0);
	return crowd->low + offset % size;
}

static void open_pool(struct crowd *crowd, enum style style, unsigned n)
{
	struct dice *dice = &crowd->dice;
	int family = dice_chance(dice, 70) ? AF_INET : AF_INET6;
	uint32_t address = dice_pick(dice, 0, 1 << 20);
	uint16_t port = (uint16_t)dice_pick(dice, 1000, 60000);
	unsigned first = dice_pick(dice, 0, crowd->high - crowd->low);
	for (unsigned i = 0; i < n; i++) {
		int fd = open_alone(family, address, port, port_of(crowd, style, first, i));
		if (fd == -EADDRNOTAVAIL && style != NATURAL)
			continue; /* that port has one already */
		if (fd == -EADDRNOTAVAIL)
			return;
		must(fd);
		hold(crowd, fd);
		crowd->connections++;
	}
	crowd->pools++;
}

/* ---- a namespace --------------------------------------------------------------------------- */

static void crowd_make(struct crowd *crowd, uint64_t round_seed)
{
	static const unsigned sizes[] = {1200, 2000, 4000, 8000, 16000, 28232};
	struct lp_error err = {0};
	*crowd = (struct crowd){.dice = {round_seed}, .ns = LAB_NS_NONE};
	unsigned size = sizes[dice_pick(&crowd->dice, 0, 5)];
	crowd->low = dice_pick(&crowd->dice, 1024, 65535 - size);
	crowd->high = crowd->low + size - 1;
	assert_ok(lab_ns_make(&crowd->ns, &err), err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/ip_local_port_range", "%u %u", crowd->low,
	                     crowd->high),
	          err);
	assert_ok(lab_sysctl(&crowd->ns, &err, "ipv4/tcp_tw_reuse", "0"), err);
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
	leave_time_waits(crowd);
	for (unsigned i = 0; i < big && crowd->connections < budget; i++) {
		bool near = dice_chance(dice, 60);
		unsigned percent = near ? dice_pick(dice, 76, 86) : dice_pick(dice, 20, 100);
		enum style style = (enum style)dice_pick(dice, 0, STYLES - 1);
		/* beyond half of a large range each connect() takes milliseconds */
		if (style == NATURAL && size > 8000)
			percent = percent > 50 ? 50 : percent;
		open_pool(crowd, style, size * percent / 100);
	}
	small += dice_pick(dice, 0, small);
	for (unsigned i = 0; i < small && crowd->connections < budget; i++) {
		unsigned most = 2 * (budget - crowd->connections) / (small - i);
		open_pool(crowd, NATURAL,
		          dice_pick(dice, 1, most < size / 2 ? most + 1 : size / 2));
	}
}

static void crowd_done(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->n_holders; i++) {
		(void)kill(crowd->holders[i], SIGKILL);
		(void)waitpid(crowd->holders[i], NULL, 0);
	}
	lab_fds_done(&crowd->fds);
	lab_ns_done(&crowd->ns);
}

/* ---- looks --------------------------------------------------------------------------------- */

static struct lp_snapshot *look(const struct lab_ns *ns, struct lp_look_options options)
{
	_cleanup_(lab_leave) int home = must(lab_enter(ns));
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	struct lp_snapshot *snapshot = NULL;
	struct lp_error err = {0};
	(void)home;
	options.netns = "self";
	assert_ok(lp_kernel_open(&kernel, &err), err);
	assert_ok(lp_look(&kernel, &options, &snapshot, &err), err);
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (!strcmp(snapshot->gaps[i].what, "sockets") ||
		    !strcmp(snapshot->gaps[i].what, "reader"))
			fail_msg("%s: %s", snapshot->gaps[i].what, snapshot->gaps[i].why);
	assert_int_equal(snapshot->n_netns, 1);
	return snapshot;
}

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
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *diag = look(&crowd.ns, by_diag);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *all = look(&crowd.ns, exact);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *sampled = look(&crowd.ns, sample);
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
