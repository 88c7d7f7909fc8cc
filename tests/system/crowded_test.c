/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * conntrack-hash-small, brought about without a setting of the machine: several namespaces fill the
 * one hash table. Everyone's lookups are slow meanwhile, so it runs alone.
 */

#include <stdlib.h>

#include "finding.h"
#include "lab/conntrack.h"

/* conntrack's maximum is each namespace's own, and its hash table one for all. */
struct crowd {
	struct lab_ns ns[16];
	struct lab_child inside[16]; /* a process leads to a namespace where descriptors may not */
	unsigned n;
	int64_t max, buckets;
};

static int64_t conntrack_buckets(void)
{
	struct lp_error err = {0};
	char text[32];
	assert_ok(lab_sysctl_get(NULL, &err, "netfilter/nf_conntrack_buckets", text, sizeof(text)),
	          err);
	return strtoll(text, NULL, 10);
}

static int be_inside(void *data, int say)
{
	if (lab_enter(data) < 0)
		return 1;
	lab_child_ready(say);
}

/* Fills new namespaces until so many entries are there. */
static int64_t crowd_to(struct crowd *crowd, int64_t have, int64_t wanted)
{
	struct lp_error err = {0};
	for (; have < wanted; crowd->n++) {
		struct lab_conntrack_fill fill = {.from = lab_addr("10.9.0.1", 2000),
		                                  .to = lab_addr("10.8.0.1", 443),
		                                  .ports = 30000};
		struct lab_ns *ns = &crowd->ns[crowd->n];
		assert_ok(lab_ns_make(ns, &err), err);
		assert_ok(lab_nft_track(ns, &err), err);
		must(lab_child_start(&crowd->inside[crowd->n], be_inside, ns));
		fill.n = (uint32_t)(wanted - have < crowd->max ? wanted - have : crowd->max);
		assert_ok(lab_conntrack_fill(ns, &fill, &err), err);
		have += fill.n;
	}
	return have;
}

/* Asked for a namespace that has no entry itself. */
static bool is_crowded(const struct lab_ns *empty)
{
	_cleanup_(answer_done) struct answer answer = ask_ns(empty);
	const json_t *finding = finding_of(&answer, "conntrack-hash-small", 0);
	assert_null(finding_of(&answer, "conntrack-hash-small", empty->inode));
	if (!finding)
		note("%s", answer_misses(&answer, "namespaces") ? "not all namespaces were seen"
		                                                : "all namespaces were seen");
	else
		note("%s %s", finding_text(finding, "summary"), finding_text(finding, "cause"));
	return finding;
}

static void chains_that_all_namespaces_fill(void **state)
{
	(void)state;
	enum { MOST = 2 << 20, A_BUCKET = 4 };
	struct lp_error err = {0};
	struct crowd crowd = {.max = lab_conntrack_max(&err), .buckets = conntrack_buckets()};
	struct lab_ns empty = LAB_NS_NONE;
	assert_ok((int)(crowd.max < 0 ? crowd.max : 0), err);
	int64_t enough = crowd.buckets * A_BUCKET;
	if (enough > MOST || enough / crowd.max > 14) {
		note("%jd buckets would take %jd entries", (intmax_t)crowd.buckets,
		     (intmax_t)enough);
		skip();
	}
	assert_ok(lab_ns_make(&empty, &err), err);
	int64_t have = crowd_to(&crowd, 0, enough * 95 / 100);
	assert_false(is_crowded(&empty));
	(void)crowd_to(&crowd, have, enough + 1);
	assert_true(is_crowded(&empty));
	for (unsigned i = 0; i < crowd.n; i++) {
		lab_child_stop(&crowd.inside[i]);
		lab_ns_done(&crowd.ns[i]);
	}
	lab_ns_done(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(chains_that_all_namespaces_fill)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("crowded", tests, NULL, NULL);
}
