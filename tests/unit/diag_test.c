/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Answers of sock_diag, whole, torn, truncated and interrupted, without a kernel. */

#include "kernel/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "unit.h"

struct answer {
	_Alignas(8) char bytes[8192];
	size_t size;
};

static struct nlmsghdr *put(struct answer *a, uint16_t type, const void *payload, size_t size,
                            uint32_t sequence)
{
	struct nlmsghdr *header = (void *)(a->bytes + a->size);
	*header = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
	                            .nlmsg_type = type,
	                            .nlmsg_flags = NLM_F_MULTI,
	                            .nlmsg_seq = sequence};
	memcpy(NLMSG_DATA(header), payload, size);
	a->size += NLMSG_SPACE(size);
	return header;
}

static struct nlmsghdr *put_socket(struct answer *a, uint8_t state, const char *local,
                                   uint16_t port, const char *remote, uint16_t remote_port,
                                   uint32_t sequence)
{
	struct lp_address l = unit_address(local), r = unit_address(remote);
	struct inet_diag_msg m = {.idiag_family = (uint8_t)l.family, .idiag_state = state};
	m.id.idiag_sport = htons(port);
	m.id.idiag_dport = htons(remote_port);
	memcpy(m.id.idiag_src, l.bytes, 16);
	memcpy(m.id.idiag_dst, r.bytes, 16);
	m.idiag_expires = 30000;
	m.idiag_rqueue = 3;
	m.idiag_wqueue = 128;
	return put(a, TCPDIAG_GETSOCK, &m, sizeof(m), sequence);
}

static void put_done(struct answer *a, int error, uint32_t sequence)
{
	put(a, NLMSG_DONE, &error, sizeof(error), sequence);
}

static int count(const struct lp_diag_message *message, void *context)
{
	assert_in_range(message->state, 1, 12);
	(*(int *)context)++;
	return 0;
}

static int parse(const struct answer *a, size_t size, int *sockets,
                 struct lp_netlink_result *result)
{
	*sockets = 0;
	*result = (struct lp_netlink_result){0};
	return lp_diag_parse(a->bytes, size, 7, count, sockets, result);
}

static void a_whole_answer_ends(void **state)
{
	(void)state;
	struct answer a = {0};
	int sockets;
	struct lp_netlink_result result;
	put_socket(&a, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 7);
	put_socket(&a, LP_TIME_WAIT, "::1", 40000, "::1", 80, 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), 0);
	assert_int_equal(sockets, 2);
	put_done(&a, 0, 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), 1);
	assert_int_equal(sockets, 2);
	assert_false(result.truncated || result.interrupted || result.lost);
}

static void what_is_of_another_dump_is_passed_over(void **state)
{
	(void)state;
	struct answer a = {0};
	int sockets;
	struct lp_netlink_result result;
	put_socket(&a, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 6);
	put_done(&a, 0, 6);
	assert_int_equal(parse(&a, a.size, &sockets, &result), 0);
	assert_int_equal(sockets, 0);
}

static void an_interrupted_dump_is_noticed(void **state)
{
	(void)state;
	struct answer a = {0};
	int sockets;
	struct lp_netlink_result result;
	put_socket(&a, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 7)->nlmsg_flags |=
	        NLM_F_DUMP_INTR;
	assert_int_equal(parse(&a, a.size, &sockets, &result), 0);
	assert_true(result.interrupted);
}

static void errors_are_the_kernels(void **state)
{
	(void)state;
	int sockets;
	struct lp_netlink_result result;
	struct nlmsgerr error = {.error = -EPERM};
	struct answer a = {0};
	put(&a, NLMSG_ERROR, &error, sizeof(error), 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), -EPERM);
	a.size = 0;
	put_done(&a, -EINVAL, 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), -EINVAL);
	a.size = 0;
	put(&a, NLMSG_ERROR, "", 0, 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), -EBADMSG);
	a.size = 0;
	put(&a, NLMSG_DONE, "", 0, 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), 1);
}

/* Every cut is noticed, or what was read is a prefix; nothing is read past the end. */
static void any_cut_is_noticed(void **state)
{
	(void)state;
	struct answer a = {0};
	put_socket(&a, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 7);
	size_t one = a.size;
	put_socket(&a, LP_ESTABLISHED, "10.0.0.1", 40001, "10.0.0.2", 80, 7);
	for (size_t size = 0; size < a.size; size++) {
		char *exact = malloc(size ? size : 1);
		assert_non_null(exact);
		memcpy(exact, a.bytes, size);
		int sockets = 0;
		struct lp_netlink_result result = {0};
		assert_int_equal(lp_diag_parse(exact, size, 7, count, &sockets, &result), 0);
		assert_int_equal(sockets, size >= one);
		assert_int_equal(result.truncated, size != 0 && size != one);
		free(exact);
	}
}

static void a_short_message_is_truncated(void **state)
{
	(void)state;
	struct answer a = {0};
	int sockets;
	struct lp_netlink_result result;
	char half[sizeof(struct inet_diag_msg) / 2] = {0};
	put(&a, TCPDIAG_GETSOCK, half, sizeof(half), 7);
	assert_int_equal(parse(&a, a.size, &sockets, &result), 0);
	assert_int_equal(sockets, 0);
	assert_true(result.truncated);
}

/* ---- reading whole namespaces from recorded answers -------------------------------------- */

enum { STEPS = 16 };

/* What each dump that is asked for answers: the n-th opening gets the n-th step. */
struct script {
	struct answer answers[STEPS];
	int opened, n;
};

static int play(void *context)
{
	struct script *script = context;
	if (script->opened == script->n)
		return -ENOENT;
	struct answer *a = &script->answers[script->opened++];
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[1], a->bytes, a->size, 0), (ssize_t)a->size);
	/* the other end stays open, so that the request can be sent */
	return pair[0];
}

static struct answer *step(struct script *script)
{
	return &script->answers[script->n++];
}

static struct lp_snapshot *read_script(struct script *script)
{
	struct lp_snapshot *snapshot = lp_snapshot_new();
	struct lp_port_map reserved = {0};
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	netns->range_low = lp_figure(40000);
	netns->range_high = lp_figure(40099);
	netns->inode = 42;
	struct lp_sockets_options options = {.open = play, .context = script};
	assert_int_equal(lp_sockets_read(snapshot, netns, &reserved, &options), 0);
	return snapshot;
}

static void an_interrupted_dump_is_asked_again(void **state)
{
	(void)state;
	struct script script = {0};
	put_done(step(&script), 0, 1); /* listeners */
	struct answer *torn = step(&script);
	put_socket(torn, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 2)->nlmsg_flags |=
	        NLM_F_DUMP_INTR;
	put_done(torn, 0, 2);
	struct answer *whole = step(&script);
	put_socket(whole, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 3);
	put_socket(whole, LP_TIME_WAIT, "::ffff:10.0.0.1", 40001, "10.0.0.2", 80, 3);
	put_done(whole, 0, 3);
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(script.opened, 3);
	assert_int_equal(snapshot->n_gaps, 0);
	assert_true(snapshot->netns[0].sockets_read);
	assert_false(snapshot->netns[0].sockets_torn);
	assert_int_equal(snapshot->netns[0].n_pools, 1);
	assert_int_equal(snapshot->netns[0].pools[0].states[LP_ESTABLISHED], 1);
	assert_int_equal(snapshot->netns[0].pools[0].states[LP_TIME_WAIT], 1);
	lp_snapshot_free(snapshot);
}

static void what_stays_torn_is_told(void **state)
{
	(void)state;
	struct script script = {0};
	put_done(step(&script), 0, 1);
	for (uint32_t try = 2; try < 5; try++) {
		struct answer *torn = step(&script);
		put_socket(torn, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, try)
		        ->nlmsg_flags |= NLM_F_DUMP_INTR;
		put_done(torn, 0, try);
	}
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(script.opened, 4); /* bounded */
	assert_int_equal(snapshot->n_gaps, 1);
	assert_string_equal(snapshot->gaps[0].what, "sockets");
	assert_int_equal(snapshot->gaps[0].netns, 42);
	assert_non_null(strstr(snapshot->gaps[0].why, "NLM_F_DUMP_INTR"));
	assert_true(snapshot->netns[0].sockets_torn);
	assert_int_equal(snapshot->netns[0].n_pools, 1);
	lp_snapshot_free(snapshot);
}

static void truncated_answers_are_told(void **state)
{
	(void)state;
	struct script script = {0};
	put_done(step(&script), 0, 1);
	for (uint32_t try = 2; try < 5; try++) {
		struct answer *cut = step(&script);
		put_socket(cut, LP_ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, try);
		char half[8] = {0};
		put(cut, TCPDIAG_GETSOCK, half, sizeof(half), try);
		put_done(cut, 0, try);
	}
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(snapshot->n_gaps, 1);
	assert_non_null(strstr(snapshot->gaps[0].why, "cut off"));
	lp_snapshot_free(snapshot);
}

static void a_refusal_leaves_the_sockets_absent(void **state)
{
	(void)state;
	struct script script = {0};
	struct nlmsgerr error = {.error = -EPERM};
	put(step(&script), NLMSG_ERROR, &error, sizeof(error), 1);
	put(step(&script), NLMSG_ERROR, &error, sizeof(error), 2);
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(script.opened, 2); /* not asked again: it would not help */
	assert_int_equal(snapshot->n_gaps, 2);
	assert_false(snapshot->netns[0].sockets_read);
	lp_snapshot_free(snapshot);
}

static void a_kernel_without_diag_is_said(void **state)
{
	(void)state;
	struct script script = {0}; /* every opening fails with ENOENT */
	struct lp_snapshot *snapshot = read_script(&script);
	assert_false(snapshot->netns[0].sockets_read);
	assert_true(snapshot->n_gaps > 0);
	assert_non_null(strstr(snapshot->gaps[0].why, "no sock_diag"));
	lp_snapshot_free(snapshot);
}

static void listeners_come_with_their_queues(void **state)
{
	(void)state;
	struct script script = {0};
	struct answer *listeners = step(&script);
	put_socket(listeners, LP_LISTEN, "0.0.0.0", 40005, "0.0.0.0", 0, 1);
	put_done(listeners, 0, 1);
	put_done(step(&script), 0, 2);
	struct lp_snapshot *snapshot = read_script(&script);
	assert_int_equal(snapshot->netns[0].n_listeners, 1);
	assert_int_equal(snapshot->netns[0].listeners[0].waiting, 3);
	assert_int_equal(snapshot->netns[0].listeners[0].backlog, 128);
	assert_int_equal(snapshot->netns[0].held, 1);
	lp_snapshot_free(snapshot);
}

UNIT_MAIN(cmocka_unit_test(a_whole_answer_ends),
          cmocka_unit_test(what_is_of_another_dump_is_passed_over),
          cmocka_unit_test(an_interrupted_dump_is_noticed),
          cmocka_unit_test(errors_are_the_kernels), cmocka_unit_test(any_cut_is_noticed),
          cmocka_unit_test(a_short_message_is_truncated),
          cmocka_unit_test(an_interrupted_dump_is_asked_again),
          cmocka_unit_test(what_stays_torn_is_told), cmocka_unit_test(truncated_answers_are_told),
          cmocka_unit_test(a_refusal_leaves_the_sockets_absent),
          cmocka_unit_test(a_kernel_without_diag_is_said),
          cmocka_unit_test(listeners_come_with_their_queues))
