/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The promise of headroom for conntrack-entries, and what is told of the entries. The maximum is
 * the machine's and stays as it is: a namespace of the test's own is filled up to it.
 */

#include "check.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ask.h"
#include "kernel/bpf_conntrack.h"
#include "kernel/conntrack.h"
#include "snapshot/tracks.h"

enum { LISTENERS = 4, BACKLOG = 4096 };

/* A namespace that tracks, with listeners on lo. */
struct place {
	struct lab_ns ns;
	struct lab_addr at[LISTENERS];
	struct lab_fds fds;
	int64_t max, buckets; /* the machine's */
};

static void place_make(struct place *place)
{
	struct lp_error err = {0};
	*place = (struct place){.ns = LAB_NS_NONE};
	assert_ok(lab_ns_make(&place->ns, &err), err);
	assert_ok(lab_nft_track(&place->ns, &err), err);
	for (uint16_t i = 0; i < LISTENERS; i++) {
		place->at[i] = lab_addr("127.0.0.1", (uint16_t)(80 + i));
		struct lab_how how = {.ns = &place->ns, .from = &place->at[i]};
		int listener = must(lab_listen(&how, BACKLOG));
		must(lab_hold(&place->fds, listener));
	}
	place->max = lab_conntrack_max(&err);
	assert_ok((int)place->max, err);
	char text[32];
	assert_ok(lab_sysctl_get(&place->ns, &err, "netfilter/nf_conntrack_buckets", text,
	                         sizeof(text)),
	          err);
	place->buckets = strtol(text, NULL, 10);
}

static void place_done(struct place *place)
{
	lab_fds_done(&place->fds);
	lab_ns_done(&place->ns);
}

/* A full table takes 300 bytes an entry, and evictions go by how its buckets compare with it. */
static void skip_if_too_large(struct place *place, bool evicts)
{
	enum { MOST = 1 << 20 };
	const char *why = NULL;
	if (place->max > MOST)
		why = "a full table would take too much memory";
	else if (evicts && place->buckets > place->max)
		why = "there are more buckets than entries";
	if (!why)
		return;
	note("nf_conntrack_max is %lld, buckets %lld: %s", (long long)place->max,
	     (long long)place->buckets, why);
	place_done(place);
	skip();
}

/* Entries as if of connections from 10.FROM.0.1; each client has 30,000 ports a server. */
static void fill(const struct place *place, unsigned from, uint32_t n, bool short_lived)
{
	struct lp_error err = {0};
	char text[32];
	(void)snprintf(text, sizeof(text), "10.%u.0.1", from);
	struct lab_conntrack_fill entries = {.from = lab_addr(text, 2000),
	                                     .to = lab_addr("10.200.0.1", 443),
	                                     .ports = 30000,
	                                     .n = n,
	                                     .short_lived = short_lived};
	assert_ok(lab_conntrack_fill(&place->ns, &entries, &err), err);
}

/* What is told of the namespace's table; the answer is the caller's. */
static json_t *entries_of(const struct place *place, struct answer *answer)
{
	*answer = ask_ns(&place->ns);
	return limit_must(answer, "conntrack-entries", place->ns.inode, json_object());
}

/* The same with each entry looked at. */
static json_t *detail_of(const struct place *place, struct answer *answer)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&place->ns));
	(void)home;
	*answer =
	        ask_raw("status", "--json", "--netns", "self", "--kind", "conntrack-entries", NULL);
	assert_int_equal(answer->status, 0);
	return limit_must(answer, "conntrack-entries", 0, json_object());
}

static unsigned standing(const struct lab_fds *fds)
{
	unsigned n = 0;
	for (size_t i = 0; i < fds->n; i++)
		n += lab_tcp_state(fds->items[i]) == TCP_ESTABLISHED;
	return n;
}

/* Opens n connections over lo; how many stand: over lo it takes no time. They stay open. */
static unsigned open_some(struct place *place, unsigned n, struct lab_fds *fds)
{
	struct lab_how how = {.ns = &place->ns, .options = LAB_NONBLOCK};
	for (unsigned i = 0; i < LISTENERS && n; i++) {
		unsigned here = n < BACKLOG ? n : BACKLOG;
		must_count(lab_connect_many(&how, &place->at[i], here, fds), here);
		n -= here;
	}
	assert_int_equal(n, 0);
	return standing(fds);
}

static void nothing_tracked_is_no_limit(void **state)
{
	(void)state;
	struct place place;
	place_make(&place);
	struct answer answer = ask_ns(&place.ns);
	assert_null(limit_find(&answer, "conntrack-entries", place.ns.inode, json_object()));
	assert_false(answer_misses(&answer, "conntrack"));
	answer_done(&answer);
	static const struct {
		const char *kind, *said;
	} kinds[] = {{"conntrack-entries", "Nothing is tracked"},
	             {"snat-ports", "Nothing is tracked"}};
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(lab_leave) int home = must(lab_enter(&place.ns));
		(void)home;
		const char *argv[] = {getenv("LASTPORT"), "--netns",     "self",
		                      "--kind",           kinds[i].kind, NULL};
		struct lab_output out;
		assert_int_equal(lab_run(argv, 30000, &out, NULL), 0);
		assert_non_null(strstr(out.text, kinds[i].said));
		lab_output_done(&out);
	}
	place_done(&place);
}

/* So many more connections succeed and the next one is dropped, which is then counted. */
static void headroom_is_exact_for_assured_entries(void **state)
{
	(void)state;
	enum { ROOM = 7 };
	struct place place;
	place_make(&place);
	skip_if_too_large(&place, false);
	fill(&place, 1, (uint32_t)place.max - ROOM, false);
	struct answer answer;
	json_t *limit = entries_of(&place, &answer);
	assert_int_equal(limit_figure(limit, "capacity"), place.max);
	assert_int_equal(limit_figure(limit, "used"), place.max - ROOM);
	assert_int_equal(limit_figure(limit, "reusable"), 0);
	assert_null(json_object_get(limit, "exact"));
	assert_int_equal(limit_figure(json_object_get(limit, "counters"), "drop"), 0);
	unsigned headroom = limit_figure(limit, "headroom");
	assert_int_equal(headroom, ROOM);
	answer_done(&answer);

	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	assert_int_equal(open_some(&place, headroom, &fds), headroom);
	limit = entries_of(&place, &answer);
	assert_int_equal(limit_figure(limit, "headroom"), 0);
	assert_true(json_number_value(json_object_get(limit, "refusal_probability")) == 1);
	answer_done(&answer);
	assert_int_equal(open_some(&place, 1, &fds), headroom);
	limit = entries_of(&place, &answer);
	/* it sends its SYN again while it waits */
	assert_true(limit_figure(json_object_get(limit, "counters"), "drop") >= 1);
	answer_done(&answer);
	place_done(&place);
}

enum verdict { KEPT, BROKEN, SWEPT };

/*
 * A full table of which some can be evicted: whether 99 in 100 of so many more find room. From
 * 95 % on a sweep of the kernel removes entries that are not ASSURED by itself (gc_worker(),
 * nf_conntrack_core.c), 257 at a time: such a table tells nothing.
 */
static enum verdict most_find_room(void)
{
	struct place place;
	struct answer answer;
	place_make(&place);
	skip_if_too_large(&place, true);
	uint32_t evictable = (uint32_t)(place.buckets * 31 / 100);
	fill(&place, 1, evictable, true);
	fill(&place, 2, (uint32_t)place.max - evictable, false);
	json_t *limit = entries_of(&place, &answer);
	unsigned headroom = limit_figure(limit, "headroom");
	bool swept = limit_figure(limit, "not_assured") < evictable;
	assert_in_range(limit_figure(limit, "not_assured"), 1, evictable);
	assert_in_range(limit_figure(limit, "reusable"), swept ? 1 : headroom, headroom);
	assert_true(json_is_false(json_object_get(limit, "exact")));
	double chance = json_number_value(json_object_get(limit, "refusal_probability"));
	answer_done(&answer);
	if (swept) {
		place_done(&place);
		return SWEPT;
	}
	assert_in_range(headroom, 1000, LISTENERS * BACKLOG);

	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	unsigned stood = open_some(&place, headroom, &fds);
	note("%u of %u found room; the first one's chance to be refused was %.2f %%", stood,
	     headroom, chance * 100);
	place_done(&place);
	/* what chance adds: three standard deviations */
	double most = headroom * 0.01;
	if (stood == headroom)
		return SWEPT; /* it is no more than it says: they were not all certain */
	return headroom - stood <= most + 3 * __builtin_sqrt(most) ? KEPT : BROKEN;
}

/*
 * The median of three tables: where entries lie in one is chance too, and adds to what the
 * connections' own adds.
 */
static void headroom_of_what_can_be_evicted_is_near_certain(void **state)
{
	(void)state;
	enum { TABLES = 3, MOST_TABLES = 9 };
	unsigned of[SWEPT + 1] = {0};
	for (int i = 0; i < MOST_TABLES && of[KEPT] + of[BROKEN] < TABLES; i++)
		of[most_find_room()]++;
	assert_int_equal(of[KEPT] + of[BROKEN], TABLES);
	assert_true(of[KEPT] > of[BROKEN]);
}

/* Sends to so many ports that nobody answers at, from ports below them: not to itself. */
static void flood(const struct place *place, unsigned packets)
{
	enum { EACH = 60000 };
	_cleanup_(lab_leave) int home = must(lab_enter(&place->ns));
	(void)home;
	for (unsigned sent = 0; sent < packets;) {
		struct lab_addr from = lab_addr("127.0.0.1", (uint16_t)(500 + sent / EACH));
		_cleanup_(lp_close_fd) int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
		must(bind(fd, &from.any, sizeof(from.four)));
		for (unsigned i = 0; i < EACH && sent < packets; i++, sent++) {
			struct lab_addr to = lab_addr("127.0.0.1", (uint16_t)(1000 + i));
			must((int)sendto(fd, "x", 1, 0, &to.any, sizeof(to.four)));
		}
	}
}

static void a_flood_without_answers_is_no_pressure(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct place place;
	struct answer answer;
	place_make(&place);
	skip_if_too_large(&place, true);
	uint32_t real = (uint32_t)(place.max * 3 / 100), flooded = (uint32_t)(place.max * 54 / 100);
	fill(&place, 1, real, false);
	flood(&place, flooded);
	assert_int_equal(lab_conntrack_count(&place.ns, &err), real + flooded);
	json_t *limit = detail_of(&place, &answer);
	note("%.1f %% full, of which 3 %% cannot be evicted: pressure %.1f %%",
	     100.0 * (real + flooded) / (double)place.max, limit_figure(limit, "pressure") / 100.0);
	assert_int_equal(limit_figure(limit, "entries"), real + flooded);
	assert_int_equal(limit_figure(limit, "assured"), real);
	assert_int_equal(limit_figure(limit, "unreplied"), flooded);
	assert_int_equal(limit_figure(json_object_get(limit, "protocols"), "udp"), flooded);
	assert_int_equal(limit_figure(json_object_get(limit, "states"), "established"), real);
	assert_in_range(limit_figure(limit, "pressure"), 300, 2500);
	answer_done(&answer);
	/* the default look tells the same of what matters, without looking at each */
	limit = entries_of(&place, &answer);
	assert_in_range(limit_figure(limit, "pressure"), 300, 2500);
	assert_null(json_object_get(limit, "talkers"));
	answer_done(&answer);
	place_done(&place);
}

/* ---- what is told of the entries ------------------------------------------------------------ */

static unsigned talker(const json_t *limit, const char *list, size_t index, const char *address)
{
	json_t *item =
	        json_array_get(json_object_get(json_object_get(limit, "talkers"), list), index);
	assert_string_equal(json_string_value(json_object_get(item, "address")), address);
	return limit_figure(item, "entries");
}

static void check_entries(const json_t *limit)
{
	assert_int_equal(limit_figure(limit, "entries"), 31001);
	assert_int_equal(limit_figure(limit, "assured"), 30000 + 1);
	assert_int_equal(limit_figure(limit, "not_assured"), 1000);
	assert_int_equal(talker(limit, "sources", 0, "10.1.0.1"), 30000);
	assert_int_equal(talker(limit, "sources", 1, "10.2.0.1"), 1000);
	assert_int_equal(talker(limit, "sources", 2, "::1"), 1);
	assert_int_equal(talker(limit, "destinations", 0, "10.200.0.1"), 31000);
	json_t *states = json_object_get(limit, "states");
	assert_int_equal(limit_figure(states, "syn_sent"), 1000);
	assert_int_equal(limit_figure(states, "time_wait"), 1);
	json_t *ports = json_object_get(json_object_get(limit, "talkers"), "ports");
	assert_int_equal(limit_figure(json_array_get(ports, 0), "port"), 443);
	/* all within 120 s, none within 100 s */
	json_t *drain = json_object_get(limit, "drain");
	assert_int_equal(json_array_size(drain), 12);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(drain, 9), 1)), 0);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(drain, 11), 1)), 1);
}

static int refuse(void *context)
{
	(void)context;
	return -EPERM;
}

/* What the reader tells of the calling thread's namespace; by the text where `open` refuses. */
static struct lp_conntrack_detail read_detail(int (*open)(void *context))
{
	struct lp_error err = {0};
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	assert_ok(lp_kernel_open(&kernel, &err), err);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	struct lp_conntrack_options options = {.read = LP_CONNTRACK_ALL, .open = open};
	netns->conntrack_entries = lp_figure(1);
	must(lp_conntrack_read(&kernel, snapshot, netns, &options));
	if (snapshot->n_gaps)
		fail_msg("%s", snapshot->gaps[0].why);
	assert_non_null(netns->conntrack);
	return *netns->conntrack;
}

static void take(const struct lp_conntrack_entry *entry, void *context)
{
	lp_tracks_add(context, entry);
}

/* The same by programs in the kernel, and by nothing else; what changed meanwhile is read again. */
static struct lp_conntrack_detail read_in_place(void)
{
	enum { TRIES = 10 };
	struct lp_error err = {0};
	char text[32];
	struct lp_conntrack_detail detail;
	assert_ok(lab_sysctl_get(NULL, &err, "netfilter/nf_conntrack_buckets", text, sizeof(text)),
	          err);
	int r = -EAGAIN;
	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		_cleanup_(lp_tracks_freep) struct lp_tracks *tracks = lp_tracks_new();
		r = lp_bpf_conntrack_read((uint32_t)strtoul(text, NULL, 10), take, tracks);
		lp_tracks_tell(tracks, &detail);
	}
	must(r);
	return detail;
}

static void check_same(const struct lp_conntrack_detail *a, const struct lp_conntrack_detail *b)
{
	assert_int_equal(a->entries, b->entries);
	assert_int_equal(a->assured, b->assured);
	assert_int_equal(a->unreplied, b->unreplied);
	assert_int_equal(a->translated, b->translated);
	assert_memory_equal(a->protocols, b->protocols, sizeof(a->protocols));
	assert_memory_equal(a->states, b->states, sizeof(a->states));
	assert_memory_equal(&a->sources, &b->sources, sizeof(a->sources));
	assert_memory_equal(&a->destinations, &b->destinations, sizeof(a->destinations));
	assert_memory_equal(&a->ports, &b->ports, sizeof(a->ports));
}

/*
 * By ctnetlink, by the text where that may not be asked, and in place by programs in the kernel;
 * both families in one table.
 */
static void entries_are_told_by_either_way(void **state)
{
	(void)state;
	struct lp_error err = {0};
	struct place place;
	struct answer answer;
	place_make(&place);
	struct place other; /* in the same table, and not of the namespace */
	place_make(&other);
	fill(&other, 1, 5000, false);
	fill(&place, 1, 30000, false);
	fill(&place, 2, 1000, true);
	struct lab_addr at = lab_addr("::1", 80);
	struct lab_how how = {.ns = &place.ns, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 8));
	struct lab_pair pair = LAB_PAIR_NONE;
	how = (struct lab_how){.ns = &place.ns};
	must(lab_pair_open(&how, &at, listener, &pair));
	must(lab_pair_close(&pair, LAB_CLIENT_FIRST));
	assert_int_equal(lab_conntrack_count(&place.ns, &err), 31001);
	check_entries(detail_of(&place, &answer));
	assert_false(answer_misses(&answer, "conntrack"));
	answer_done(&answer);
	{
		_cleanup_(lab_leave) int home = must(lab_enter(&place.ns));
		(void)home;
		struct lp_conntrack_detail asked = read_detail(NULL), text = read_detail(refuse);
		check_same(&asked, &text);
#if HAVE_BPF
		struct lp_conntrack_detail in_place = read_in_place();
		check_same(&asked, &in_place);
		assert_int_equal(in_place.drain[9], 0);
		assert_int_equal(in_place.drain[11], 1);
#else
		(void)read_in_place;
#endif
	}
	place_done(&other);
	place_done(&place);
}

#if HAVE_BPF
/* Makes entries and takes them away, until it is told to end. */
struct churn {
	const struct place *place;
	atomic_bool end;
	unsigned rounds;
};

static void *churn_on(void *context)
{
	enum { EACH = 50 };
	struct churn *churn = context;
	struct lp_error err = {0};
	struct lab_conntrack_fill fill = {.from = lab_addr("10.7.0.1", 2000),
	                                  .to = lab_addr("10.200.0.1", 443),
	                                  .ports = EACH,
	                                  .n = EACH};
	do {
		if (lab_conntrack_fill(&churn->place->ns, &fill, &err) < 0)
			return NULL;
		for (uint16_t i = 0; i < EACH; i++) {
			struct lab_addr from = lab_addr("10.7.0.1", (uint16_t)(2000 + i));
			(void)lab_conntrack_delete(&churn->place->ns, &from, &fill.to, &err);
		}
		churn->rounds++;
	} while (!atomic_load(&churn->end));
	return churn;
}

/* While others come and go, those that stay are each read once. */
static void entries_that_stay_are_read_under_churn(void **state)
{
	(void)state;
	enum { READS = 30, STAY = 30000 };
	struct place place;
	place_make(&place);
	fill(&place, 1, STAY, false);
	struct churn churn = {.place = &place};
	pthread_t thread;
	void *made;
	assert_int_equal(pthread_create(&thread, NULL, churn_on, &churn), 0);
	{
		_cleanup_(lab_leave) int home = must(lab_enter(&place.ns));
		(void)home;
		for (int i = 0; i < READS; i++) {
			struct lp_conntrack_detail detail = read_in_place();
			struct lp_address stays = lp_address_make(AF_INET, "\x0a\x01\x00\x01", 0);
			assert_true(lp_address_equal(&detail.sources.items[0].address, &stays));
			assert_int_equal(detail.sources.items[0].entries, STAY);
		}
	}
	atomic_store(&churn.end, true);
	assert_int_equal(pthread_join(thread, &made), 0);
	assert_non_null(made);
	note("%u rounds of entries came and went", churn.rounds);
	assert_true(churn.rounds > 0);
	place_done(&place);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_tracked_is_no_limit),
		cmocka_unit_test(headroom_is_exact_for_assured_entries),
		cmocka_unit_test(headroom_of_what_can_be_evicted_is_near_certain),
		cmocka_unit_test(a_flood_without_answers_is_no_pressure),
		cmocka_unit_test(entries_are_told_by_either_way),
#if HAVE_BPF
		cmocka_unit_test(entries_that_stay_are_read_under_churn),
#endif
	};
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
