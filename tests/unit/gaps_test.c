/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/gaps.h"

#include <stdio.h>
#include <string.h>

#include "limit/kinds.h"
#include "unit.h"

enum { OWN = 100, OTHER = 200 };

static struct lp_snapshot *make(void)
{
	struct lp_snapshot *snapshot = lp_snapshot_new();
	assert_non_null(snapshot);
	struct lp_netns *netns = lp_snapshot_add_netns(snapshot);
	assert_non_null(netns);
	netns->inode = OWN;
	static const struct {
		const char *what;
		uint64_t netns;
	} gaps[] = {{"sockets", OWN},      {"sockets", OTHER}, {"namespaces", 0},
	            {"namespaces", OTHER}, {"processes", 0},   {"machine", 0},
	            {"bind-ports", OWN},   {"sysctls", OWN},   {"something new", 0},
	            {"syn-queue", OWN},    {"owners", OWN}};
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++)
		assert_int_equal(lp_snapshot_gap(snapshot, gaps[i].what, gaps[i].netns, "why"), 0);
	return snapshot;
}

/* What is left, as "sockets 100, machine 0". */
static void assert_left(const char *netns, const struct lp_limit_kind *only, const char *expected)
{
	struct lp_snapshot *snapshot = make();
	char left[512] = "";
	lp_gaps_select(snapshot, netns, only);
	for (size_t i = 0; i < snapshot->n_gaps; i++) {
		size_t length = strlen(left);
		(void)snprintf(left + length, sizeof(left) - length, "%s%s %u", i ? ", " : "",
		               snapshot->gaps[i].what, (unsigned)snapshot->gaps[i].netns);
	}
	assert_string_equal(left, expected);
	lp_snapshot_free(snapshot);
}

static void all_of_it_keeps_all(void **state)
{
	(void)state;
	const char *all = "sockets 100, sockets 200, namespaces 0, namespaces 200, processes 0, "
	                  "machine 0, bind-ports 100, sysctls 100, something new 0, "
	                  "syn-queue 100, owners 100";
	assert_left(NULL, NULL, all);
	assert_left("all", NULL, all);
}

static void one_namespace_needs_no_other(void **state)
{
	(void)state;
	assert_left("self", NULL,
	            "sockets 100, processes 0, machine 0, bind-ports 100, sysctls 100, "
	            "something new 0, syn-queue 100, owners 100");
}

static void a_kind_needs_what_it_is_read_from(void **state)
{
	(void)state;
	assert_left(NULL, &lp_local_ports,
	            "sockets 100, sockets 200, namespaces 0, namespaces 200, sysctls 100, "
	            "something new 0");
	assert_left("blue", &lp_bind_ports,
	            "sockets 100, bind-ports 100, sysctls 100, something new 0");
	assert_left("blue", &lp_syn_queue,
	            "sockets 100, sysctls 100, something new 0, syn-queue 100");
	assert_left("all", &lp_file_descriptors, "processes 0, machine 0, something new 0");
	assert_left("all", &lp_tcp_memory, "machine 0, something new 0");
}

UNIT_MAIN(cmocka_unit_test(all_of_it_keeps_all), cmocka_unit_test(one_namespace_needs_no_other),
          cmocka_unit_test(a_kind_needs_what_it_is_read_from))
