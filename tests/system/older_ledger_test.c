/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The ledger on a kernel without IPv6: its program is built once more with names that no kernel has
 * in place of the addresses' (see older_kernel_test.c). It loads, and counts what is refused.
 */

#include "check.h"

#include "action/ledger_load.h"
#include "kernel/ledger.h"

enum { MEMORY_MIB = 1, PORTS = 8, REFUSED = 5, PORT = 80 };

/* Takes every port towards the listener, and asks for some more. */
static void be_refused(const struct lab_ns *ns)
{
	_cleanup_(lab_fds_done) struct lab_fds held = {0};
	struct lab_addr to = lab_addr("127.0.0.1", PORT);
	struct lab_how at = {.ns = ns, .from = &to}, how = {.ns = ns};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&at, PORTS));
	(void)listener;
	must_count(lab_connect_many(&how, &to, PORTS, &held), PORTS);
	for (unsigned i = 0; i < REFUSED; i++)
		assert_int_equal(lab_connect(&how, &to), -EADDRNOTAVAIL);
}

static void it_counts_what_is_refused(void **state)
{
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	_cleanup_(lp_ledger_unloadp) struct lp_ledger_loaded *loaded = NULL;
	_cleanup_(lp_ledger_closep) struct lp_ledger *ledger = NULL;
	_cleanup_(lp_ledger_facts_freep) struct lp_ledger_facts *facts = NULL;
	const struct lp_address local = lp_address_make(AF_INET, "\x7f\0\0\1", 0);
	(void)state;
	assert_ok(lp_kernel_open(&kernel, &err), err);
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_sysctl(&ns, &err, "ipv4/ip_local_port_range", "40000 %u", 40000 + PORTS - 1),
	          err);
	assert_ok(lp_ledger_load(MEMORY_MIB, &loaded, &err), err);
	assert_ok(lp_ledger_attach(loaded, &err), err);
	assert_ok(lp_ledger_open_by(lp_ledger_open_piece, loaded, &ledger, &err), err);
	be_refused(&ns);
	must(lp_ledger_read(ledger, &kernel, &facts));
	uint64_t refused = 0;
	for (size_t i = 0; i < facts->n_refusals; i++) {
		const struct lp_ledger_refusal *refusal = &facts->refusals[i];
		if (refusal->party.netns.inode != ns.inode)
			continue;
		assert_true(lp_address_equal(&refusal->remote, &local));
		assert_int_equal(refusal->port, PORT);
		refused += refusal->refused;
	}
	assert_int_equal(refused, REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(it_counts_what_is_refused)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
