/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What kernels tell that are laid out otherwise. The programs are built once more for it, with a
 * name that no kernel has in place of a field's, or as if the hash were another one; the kernel
 * that runs then looks to them as an older one would. The answer is right in any case, and says who
 * gave it. The argument tells which kernel it is.
 */

#include "crowd.h"

#include <netinet/in.h>

enum { LOW = 20000, PORTS = 2000, NEAR = 1700, FEW = 100, POOLS = 20, PORT = 80, SHARE = 4 };

static const char *kernel_is;

static void crowd_make(struct crowd *crowd)
{
	*crowd = (struct crowd){0};
	crowd_range(crowd, LOW, LOW + PORTS - 1);
	_cleanup_(lab_leave) int home = must(lab_enter(&crowd->ns));
	(void)home;
	for (unsigned i = 0; i < NEAR; i++)
		crowd_hold(crowd, must(crowd_open_alone(AF_INET, 1, PORT, LOW + i)));
	for (unsigned i = 0; i < FEW * POOLS; i++)
		crowd_hold(crowd,
		           must(crowd_open_alone(AF_INET, 2 + i / FEW, PORT, LOW + i % FEW)));
}

/* NULL: no such gap. */
static const char *why(const struct lp_snapshot *snapshot, const char *what)
{
	for (size_t i = 0; i < snapshot->n_gaps; i++)
		if (!strcmp(snapshot->gaps[i].what, what))
			return snapshot->gaps[i].why;
	return NULL;
}

static int compare_pools(const void *a, const void *b)
{
	const struct lp_pool *x = a, *y = b;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

/* Every pool is there and counted. */
static void assert_right(const struct lp_snapshot *told, const struct lp_snapshot *by_diag)
{
	const struct lp_netns *a = &told->netns[0], *b = &by_diag->netns[0];
	unsigned connections = 0;
	assert_null(why(told, "sockets"));
	assert_int_equal(a->sampled, 0);
	assert_int_equal(a->n_pools, POOLS + 1);
	assert_int_equal(b->n_pools, POOLS + 1);
	qsort(a->pools, a->n_pools, sizeof(*a->pools), compare_pools);
	qsort(b->pools, b->n_pools, sizeof(*b->pools), compare_pools);
	for (size_t i = 0; i < a->n_pools; i++) {
		assert_int_equal(compare_pools(&a->pools[i], &b->pools[i]), 0);
		assert_memory_equal(a->pools[i].states, b->pools[i].states,
		                    sizeof(a->pools[i].states));
		assert_int_equal(a->pools[i].about, 0);
		connections += lp_pool_total(&a->pools[i]);
	}
	assert_int_equal(connections, NEAR + FEW * POOLS);
}

static void the_answer_is_right(void **state)
{
	const struct crowd *crowd = *state;
	/* a sample is wished for: where the table does not serve, all is counted nevertheless */
	bool serves = !strcmp(kernel_is, "without_ages") || !strcmp(kernel_is, "without_ipv6");
	bool loads = serves || !strcmp(kernel_is, "strewn");
	const struct lp_look_options options = {
	        .reader = LP_READ_BPF, .sample = serves ? 0 : (NEAR + FEW * POOLS) / SHARE + 1};
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *told =
	        crowd_look_by_any(&crowd->ns, options);
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *by_diag =
	        crowd_look(&crowd->ns, (struct lp_look_options){.reader = LP_READ_DIAG});
	assert_int_equal(told->reader, loads ? LP_READER_BPF : LP_READER_DIAG);
	assert_true(loads == !why(told, "reader"));
	if (!loads)
		assert_non_null(strstr(why(told, "reader"), "sock_diag read the sockets"));
	assert_right(told, by_diag);
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_answer_is_right)};
	kernel_is = argc > 1 ? argv[1] : "";
	(void)lab_raise_descriptors();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name(kernel_is, tests, make, crowd_unmake);
}
