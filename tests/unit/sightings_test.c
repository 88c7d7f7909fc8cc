/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sockfds.h"
#include "snapshot/sightings.h"
#include "unit.h"

#include <errno.h>

static struct lp_pool_key key_of(uint16_t port)
{
	return (struct lp_pool_key){.local = unit_address("10.0.0.1"),
	                            .remote = unit_address("10.0.0.2"),
	                            .port = port};
}

static void see(struct lp_sightings *sightings, size_t netns, uint16_t port, uint64_t cookie,
                enum lp_tcp_state state)
{
	const struct lp_pool_key key = key_of(port);
	lp_sightings_add(sightings, netns, &key, cookie, (uint32_t)cookie, state);
}

static size_t count(const struct lp_sightings *sightings, size_t netns, uint16_t port)
{
	const struct lp_pool_key key = key_of(port);
	uint64_t pool = lp_sightings_pool(netns, &key);
	size_t n = 0;
	for (size_t i = 0; i < sightings->n; i++)
		n += sightings->items[i].pool == pool;
	return n;
}

static void what_fits_is_all_there(void **state)
{
	(void)state;
	struct lp_sightings sightings = {0};
	for (uint64_t i = 1; i <= LP_SIGHTINGS_MAX; i++)
		see(&sightings, i % 2, i % 4 < 2 ? 80 : 443, i, LP_ESTABLISHED);
	assert_int_equal(sightings.n, LP_SIGHTINGS_MAX);
	assert_int_equal(sightings.shift, 0);
	for (size_t netns = 0; netns < 2; netns++) {
		assert_int_equal(count(&sightings, netns, 80), LP_SIGHTINGS_MAX / 4);
		assert_int_equal(count(&sightings, netns, 443), LP_SIGHTINGS_MAX / 4);
	}
	assert_int_equal(sightings.items[5].cookie, 6);
	assert_int_equal(sightings.items[5].inode, 6);
	assert_int_equal(sightings.items[5].state, LP_ESTABLISHED);
	lp_sightings_done(&sightings);
}

static void of_more_a_known_share_is_kept(void **state)
{
	enum { MANY = 5 * LP_SIGHTINGS_MAX, SMALL_EVERY = 10 };
	(void)state;
	struct lp_sightings sightings = {0};
	for (uint64_t i = 1; i <= MANY; i++)
		see(&sightings, 0, i % SMALL_EVERY ? 80 : 443, i, LP_ESTABLISHED);
	assert_true(sightings.shift >= 3);
	assert_true(sightings.n <= LP_SIGHTINGS_MAX);
	assert_false(sightings.out_of_room);
	/* what is left stands for what there was: within five times the error of so many draws */
	size_t small = count(&sightings, 0, 443) << sightings.shift;
	assert_in_range(small, MANY / SMALL_EVERY * 9 / 10, MANY / SMALL_EVERY * 11 / 10);
	size_t all = sightings.n << sightings.shift;
	assert_in_range(all, MANY / 100 * 97, MANY / 100 * 103);
	lp_sightings_done(&sightings);
}

static void time_waits_are_kept_for_a_ledger_only(void **state)
{
	(void)state;
	struct lp_sightings sightings = {0};
	see(&sightings, 0, 80, 1, LP_TIME_WAIT);
	assert_int_equal(sightings.n, 0);
	sightings.time_waits = true;
	see(&sightings, 0, 80, 1, LP_TIME_WAIT);
	assert_int_equal(sightings.n, 1);
	lp_sightings_done(&sightings);
}

static void a_namespace_can_be_read_again(void **state)
{
	(void)state;
	struct lp_sightings sightings = {0};
	for (uint64_t i = 1; i <= 100; i++)
		see(&sightings, i % 2, 80, i, LP_ESTABLISHED);
	lp_sightings_forget(&sightings, 1);
	assert_int_equal(count(&sightings, 0, 80), 50);
	assert_int_equal(count(&sightings, 1, 80), 0);
	lp_sightings_done(&sightings);
}

/* ---- descriptors --------------------------------------------------------------------------- */

static void a_link_of_a_socket_is_known(void **state)
{
	(void)state;
	uint32_t inode = 77;
	assert_int_equal(lp_socket_link_parse("socket:[12345]", &inode), 0);
	assert_int_equal(inode, 12345);
	static const char *const others[] = {
	        "socket:[]",   "socket:[1", "socket:[1]x",   "socket:[-1]",        "pipe:[12345]",
	        "/socket:[1]", "",          "net:[4026531]", "socket:[4294967296]"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(lp_socket_link_parse(others[i], &inode), -EINVAL);
	assert_int_equal(inode, 12345);
}

static void who_holds_a_socket_is_found(void **state)
{
	(void)state;
	struct lp_sockfds fds = {0};
	const struct lp_sockfd *first;
	lp_sockfds_sort(&fds);
	assert_int_equal(lp_sockfds_of(&fds, 1, &first), 0);
	static const struct {
		pid_t pid;
		const char *link;
	} links[] = {{30, "socket:[7]"}, {20, "socket:[7]"}, {20, "socket:[7]"},
	             {20, "/dev/null"},  {40, "socket:[9]"}, {10, "socket:[5]"}};
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		assert_int_equal(lp_sockfds_link(&fds, links[i].pid, links[i].link), 0);
	lp_sockfds_sort(&fds);
	assert_int_equal(lp_sockfds_of(&fds, 7, &first), 2);
	assert_int_equal(first->pid, 20);
	assert_int_equal(first[1].pid, 30);
	assert_int_equal(lp_sockfds_of(&fds, 9, &first), 1);
	assert_int_equal(first->pid, 40);
	assert_int_equal(lp_sockfds_of(&fds, 5, &first), 1);
	for (uint32_t inode = 0; inode < 12; inode++)
		if (inode != 5 && inode != 7 && inode != 9)
			assert_int_equal(lp_sockfds_of(&fds, inode, &first), 0);
	lp_sockfds_done(&fds);
}

UNIT_MAIN(cmocka_unit_test(what_fits_is_all_there), cmocka_unit_test(of_more_a_known_share_is_kept),
          cmocka_unit_test(time_waits_are_kept_for_a_ledger_only),
          cmocka_unit_test(a_namespace_can_be_read_again),
          cmocka_unit_test(a_link_of_a_socket_is_known),
          cmocka_unit_test(who_holds_a_socket_is_found))
