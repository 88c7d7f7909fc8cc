/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ports of source NAT: how they are summed up, what chance a search has, what rules say. */

#include "snapshot/nat.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "forecast/snat.h"
#include "kernel/nat_rules.h"
#include "limit/kinds.h"
#include "unit.h"

/* ---- pools ---------------------------------------------------------------------------------- */

static struct lp_conntrack_entry entry_of(const char *client, const char *translated,
                                          const char *remote, uint16_t port, uint8_t tcp_state)
{
	struct lp_address c = unit_address(client), t = unit_address(translated),
	                  r = unit_address(remote);
	struct lp_conntrack_entry entry = {.family = (uint8_t)r.family,
	                                   .protocol = IPPROTO_TCP,
	                                   .state = tcp_state,
	                                   .status = LP_CT_SRC_NAT};
	memcpy(entry.original.from, c.bytes, 16);
	memcpy(entry.original.to, r.bytes, 16);
	memcpy(entry.reply.from, r.bytes, 16);
	memcpy(entry.reply.to, t.bytes, 16);
	entry.original.from_port = 50000;
	entry.original.to_port = entry.reply.from_port = 443;
	entry.reply.to_port = port;
	return entry;
}

static void add(struct lp_nats *nats, struct lp_conntrack_entry entry)
{
	assert_int_equal(lp_nats_add(nats, &entry), 0);
}

static void pools_are_of_address_and_destination(void **state)
{
	(void)state;
	struct lp_nats *nats = lp_nats_new();
	struct lp_nat_pool *pools;
	for (uint16_t port = 2000; port < 2010; port++)
		add(nats, entry_of("10.1.0.2", "10.2.0.1", "10.2.0.2", port, LP_CT_ESTABLISHED));
	for (uint16_t port = 2000; port < 2040; port++)
		add(nats, entry_of("fd00::2", "fd01::1", "fd01::2", port,
		                   port % 2 ? LP_CT_TIME_WAIT : LP_CT_ESTABLISHED));
	/* the router's own holds a port too; a connection that nobody translates is no pool */
	struct lp_conntrack_entry own =
	        entry_of("10.2.0.1", "10.2.0.1", "10.2.0.2", 2999, LP_CT_TIME_WAIT);
	own.status = 0;
	add(nats, own);
	struct lp_conntrack_entry other =
	        entry_of("10.9.0.1", "10.9.0.1", "10.2.0.2", 2999, LP_CT_ESTABLISHED);
	other.status = 0;
	add(nats, other);
	struct lp_conntrack_entry udp = entry_of("10.1.0.2", "10.2.0.1", "10.2.0.2", 2500, 0);
	udp.protocol = IPPROTO_UDP;
	add(nats, udp);

	size_t n = lp_nats_take(nats, &pools);
	assert_int_equal(n, 2);
	uint32_t used, closing;
	assert_int_equal(pools[0].entries, 11);
	assert_true(lp_nat_is_whole(&pools[0]));
	lp_nat_count(&pools[0], 2000, 2999, &used, &closing);
	assert_int_equal(used, 11);
	/* what was not translated is not taken over */
	assert_int_equal(closing, 0);
	lp_nat_count(&pools[0], 2005, 2998, &used, &closing);
	assert_int_equal(used, 5);
	assert_int_equal(pools[1].entries, 40);
	assert_true(lp_nat_is_whole(&pools[1]));
	lp_nat_count(&pools[1], 2000, 2999, &used, &closing);
	assert_int_equal(used, 40);
	assert_int_equal(closing, 20);
	assert_true(lp_nat_is_used(&pools[1], 2039) && !lp_nat_is_used(&pools[1], 2040));
	assert_true(lp_nat_is_closing(&pools[1], 2001) && !lp_nat_is_closing(&pools[1], 2002));
	lp_nat_pools_free(pools, n);
	lp_nats_free(nats);
}

static void clients_are_counted_with_their_bound(void **state)
{
	(void)state;
	struct lp_nats *nats = lp_nats_new();
	struct lp_nat_pool *pools;
	struct lp_nat_client clients[LP_NAT_CLIENTS];
	char text[32];
	/* one has every other port, twenty have the rest */
	for (uint16_t i = 0; i < 400; i++) {
		(void)snprintf(text, sizeof(text), "10.1.0.%d", i % 2 ? 2 : 100 + i / 2 % 20);
		add(nats, entry_of(text, "10.2.0.1", "10.2.0.2", (uint16_t)(2000 + i), 3));
	}
	assert_int_equal(lp_nats_take(nats, &pools), 1);
	assert_int_equal(lp_nat_clients(&pools[0], clients), LP_NAT_CLIENTS);
	struct lp_address first = unit_address("10.1.0.2");
	assert_true(lp_address_equal(&clients[0].address, &first));
	assert_int_equal(clients[0].ports, 200);
	assert_int_equal(clients[0].missed, 0);
	for (size_t i = 1; i < LP_NAT_CLIENTS; i++)
		assert_in_range(10, clients[i].ports - clients[i].missed, clients[i].ports);
	lp_nat_pools_free(pools, 1);
	lp_nats_free(nats);
}

/* More pools than are kept: the large one stays, and what came late says what it may lack. */
static void the_smaller_half_is_dropped(void **state)
{
	(void)state;
	struct lp_nats *nats = lp_nats_new();
	struct lp_nat_pool *pools;
	char text[32];
	for (uint32_t i = 0; i < LP_NAT_MAX + 100; i++) {
		(void)snprintf(text, sizeof(text), "10.%u.%u.1", 10 + i / 250, i % 250);
		add(nats, entry_of("10.1.0.2", "10.2.0.1", text, 2000, 3));
		if (i < 600)
			add(nats,
			    entry_of("10.1.0.2", "10.2.0.1", "10.2.0.2", (uint16_t)(3000 + i), 3));
	}
	size_t n = lp_nats_take(nats, &pools), whole = 0, large = 0;
	assert_in_range(n, LP_NAT_MAX / 2, LP_NAT_MAX);
	for (size_t i = 0; i < n; i++) {
		whole += lp_nat_is_whole(&pools[i]);
		large += pools[i].entries == 600 && lp_nat_is_whole(&pools[i]);
		assert_true(pools[i].missed <= 1);
	}
	assert_int_equal(large, 1);
	assert_int_equal(whole, LP_NAT_MAX / 2);
	lp_nat_pools_free(pools, n);
	lp_nats_free(nats);
}

/* Beyond as many maps as there are, a pool is counted, but its ports are not known. */
static void maps_are_bounded(void **state)
{
	(void)state;
	struct lp_nats *nats = lp_nats_new();
	struct lp_nat_pool *pools;
	char text[32];
	uint32_t used, closing;
	for (unsigned i = 0; i <= LP_NAT_MAPS; i++) {
		(void)snprintf(text, sizeof(text), "10.9.%u.%u", i / 200, 1 + i % 200);
		for (uint16_t port = 0; port < 20; port++)
			add(nats,
			    entry_of("10.1.0.2", "10.2.0.1", text, (uint16_t)(2000 + port), 3));
	}
	size_t n = lp_nats_take(nats, &pools);
	assert_int_equal(n, LP_NAT_MAPS + 1);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lp_nat_is_whole(&pools[i]), i < LP_NAT_MAPS);
		lp_nat_count(&pools[i], 2000, 2999, &used, &closing);
		assert_int_equal(used, 20);
	}
	lp_nat_pools_free(pools, n);
	lp_nats_free(nats);
}

/* ---- the chance ----------------------------------------------------------------------------- */

static struct lp_nat_pool empty_pool(uint16_t low, uint16_t high)
{
	struct lp_nat_pool pool = {.range = {.low = low, .high = high, .told = true},
	                           .client_low = 1,
	                           .client_high = 1};
	pool.map = calloc(1, sizeof(*pool.map));
	assert_non_null(pool.map);
	return pool;
}

static uint32_t roll(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* The kernel's search, played: whether it finds a port. */
static bool play(const struct lp_nat_pool *pool, uint64_t *seed)
{
	uint32_t size = (uint32_t)pool->range.high - pool->range.low + 1;
	uint32_t attempts = size < 128 ? size : 128;
	for (;; attempts /= 2) {
		uint16_t offset = (uint16_t)roll(seed);
		for (uint32_t i = 0; i < attempts; i++, offset++) {
			uint16_t port = (uint16_t)(pool->range.low + offset % size);
			if (!lp_nat_is_used(pool, port))
				return true;
			if (attempts - i <= 32 && lp_nat_is_closing(pool, port) && roll(seed) % 2)
				return true;
		}
		if (attempts >= size || attempts < 16)
			return false;
	}
}

static void check_chance(struct lp_nat_pool *pool, uint64_t seed)
{
	enum { TRIES = 20000 };
	struct lp_snat_chance chance;
	unsigned refused = 0;
	for (int i = 0; i < TRIES; i++)
		refused += !play(pool, &seed);
	assert_int_equal(lp_snat_chance(pool, &chance), 0);
	/* four standard deviations */
	double p = chance.refused, apart = fabs(refused / (double)TRIES - p);
	if (apart > 0.0005 + 4 * sqrt(p * (1 - p) / TRIES))
		fail_msg("%u of %d are refused where %.4f was told", refused, TRIES, p);
}

static void the_chance_is_that_of_the_search(void **state)
{
	(void)state;
	static const struct {
		uint16_t low, high;
		unsigned used, closing; /* per mille */
	} cases[] = {
	        {2000, 2999, 900, 0},   {2000, 2999, 990, 0},   {1024, 65535, 985, 0},
	        {2000, 30231, 970, 0},  {2000, 2127, 995, 0},   {2000, 2128, 960, 0},
	        {2000, 2099, 1000, 30}, {2000, 5999, 1000, 20}, {2000, 5999, 1000, 100},
	        {7, 7, 1000, 0},        {1, 65535, 1000, 5},    {0, 65535, 990, 0},
	};
	uint64_t seed = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_nat_pool pool = empty_pool(cases[i].low, cases[i].high);
		for (uint32_t port = cases[i].low; port <= cases[i].high; port++) {
			if (roll(&seed) % 1000 < cases[i].used)
				lp_port_set(&pool.map->used, port);
			if (lp_nat_is_used(&pool, (uint16_t)port) &&
			    roll(&seed) % 1000 < cases[i].closing)
				lp_port_set(&pool.map->closing, port);
		}
		check_chance(&pool, seed + i);
		free(pool.map);
	}
}

static void full_and_empty_are_certain(void **state)
{
	(void)state;
	struct lp_snat_chance chance;
	struct lp_nat_pool pool = empty_pool(2000, 2999);
	assert_int_equal(lp_snat_chance(&pool, &chance), 0);
	assert_true(chance.refused == 0 && chance.found == 0);
	for (uint32_t port = 2000; port <= 2999; port++)
		lp_port_set(&pool.map->used, port);
	assert_int_equal(lp_snat_chance(&pool, &chance), 0);
	assert_true(chance.refused == 1);
	assert_true(chance.found == 96 + 32); /* of 248 tries those before the harder ones */
	/* all clients' ports lie in the range: half of them are free and kept */
	for (uint32_t port = 2500; port <= 2999; port++)
		pool.map->used.bits[port / 64] &= ~(UINT64_C(1) << port % 64);
	pool.client_low = 2000;
	pool.client_high = 2999;
	double before = chance.refused;
	pool.range.random = true;
	assert_int_equal(lp_snat_chance(&pool, &chance), 0);
	before = chance.refused;
	pool.range.random = false;
	assert_int_equal(lp_snat_chance(&pool, &chance), 0);
	assert_true(before > 0 && fabs(chance.refused - before / 2) < 1e-9);
	free(pool.map);
}

/* ---- rules ---------------------------------------------------------------------------------- */

#define RULE(expressions)                                                              \
	"{\"nftables\":[{\"rule\":{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"c\"," \
	"\"expr\":[" expressions "]}}]}"

static struct lp_nat_rules rules_of(const char *json)
{
	struct lp_nat_rules rules = {0};
	assert_int_equal(lp_nat_rules_parse(json, &rules), 0);
	return rules;
}

static void rules_are_read(void **state)
{
	(void)state;
	struct lp_address address = unit_address("10.2.0.1");
	struct lp_nat_rules rules =
	        rules_of(RULE("{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"l4proto\"}},"
	                      "\"right\":\"tcp\"}},{\"snat\":{\"addr\":\"10.2.0.1\",\"port\":"
	                      "{\"range\":[2000,2999]},\"flags\":\"fully-random\"}}"));
	assert_int_equal(rules.n, 1);
	assert_true(lp_address_equal(&rules.items[0].from, &address));
	assert_int_equal(rules.items[0].low, 2000);
	assert_int_equal(rules.items[0].high, 2999);
	assert_true(rules.items[0].random && !rules.items[0].masquerade && !rules.opaque);

	rules = rules_of(RULE("{\"masquerade\":{\"port\":77,\"flags\":[\"persistent\"]}}"));
	assert_int_equal(rules.n, 1);
	assert_true(rules.items[0].masquerade && !rules.items[0].random);
	assert_int_equal(rules.items[0].low, 77);
	assert_int_equal(rules.items[0].high, 77);
	rules = rules_of(RULE("{\"masquerade\":null}"));
	assert_int_equal(rules.n, 1);
	assert_int_equal(rules.items[0].high, 0);
	rules = rules_of(RULE("{\"snat\":{\"addr\":{\"range\":[\"10.1.1.1\",\"10.1.1.5\"]},"
	                      "\"port\":{\"range\":[9,5]}}}"));
	assert_int_equal(rules.items[0].to.bytes[3], 5);
	assert_int_equal(rules.items[0].low, 5);
	assert_int_equal(rules.items[0].high, 9);
	/* for UDP alone */
	rules = rules_of(RULE("{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":"
	                      "\"udp\",\"field\":\"dport\"}},\"right\":53}},"
	                      "{\"snat\":{\"addr\":\"10.2.0.1\"}}"));
	assert_int_equal(rules.n, 0);
	/* what can't be read may be it */
	rules = rules_of(RULE("{\"xt\":{\"type\":\"target\",\"name\":\"MASQUERADE\"}}"));
	assert_true(rules.opaque && rules.n == 0);
	rules = rules_of(RULE("{\"snat\":{\"addr\":{\"map\":{}}}}"));
	assert_true(rules.opaque && rules.n == 0);
	rules = rules_of(RULE("{\"snat\":{\"addr\":\"10.2.0.1\",\"port\":65536}}"));
	assert_true(rules.opaque && rules.n == 0);
}

static void chains_are_followed_once(void **state)
{
	(void)state;
	struct lp_nat_rules rules = rules_of(
	        "{\"nftables\":[{\"metainfo\":{}},"
	        "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"p\",\"type\":\"nat\","
	        "\"hook\":\"postrouting\"}},"
	        "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"d\",\"type\":\"nat\","
	        "\"hook\":\"prerouting\"}},"
	        "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"f\",\"type\":\"filter\","
	        "\"hook\":\"postrouting\"}}]}");
	assert_int_equal(rules.n_chains, 1);
	assert_string_equal(rules.chains[0].name, "p");
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		        lp_nat_rules_parse(RULE("{\"jump\":{\"target\":\"sub\"}}"), &rules), 0);
	assert_int_equal(rules.n_chains, 2);
	assert_string_equal(rules.chains[1].name, "sub");
	for (int i = 0; i < 100; i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), RULE("{\"goto\":{\"target\":\"c%d\"}}"), i);
		assert_int_equal(lp_nat_rules_parse(text, &rules), 0);
	}
	assert_int_equal(rules.n_chains, LP_NAT_CHAINS);
	assert_true(rules.cut);
	assert_int_equal(lp_nat_rules_parse("", &rules), -EINVAL);
	assert_int_equal(lp_nat_rules_parse("[]", &rules), -EINVAL);
	assert_int_equal(lp_nat_rules_parse("{\"nftables\":5}", &rules), -EINVAL);
}

static void the_rule_is_the_one_whose_ports_are_in_use(void **state)
{
	(void)state;
	struct lp_nat_rules rules = rules_of(
	        RULE("{\"snat\":{\"addr\":\"10.2.0.1\",\"port\":{\"range\":[2000,2999]}}},"
	             "{\"snat\":{\"addr\":\"10.2.0.1\",\"port\":{\"range\":[4000,4999]}}},"
	             "{\"snat\":{\"addr\":\"10.2.0.9\",\"port\":{\"range\":[5000,5999]}}}"));
	struct lp_nat_pool pool = empty_pool(0, 0);
	pool.key.translated = unit_address("10.2.0.1");
	lp_port_set(&pool.map->used, 4005);
	lp_port_set(&pool.map->used, 5005);
	struct lp_nat_range range = lp_nat_range_of(&rules, &pool);
	assert_true(range.told && range.several);
	assert_int_equal(range.low, 4000);
	pool.key.translated = unit_address("10.2.0.9");
	range = lp_nat_range_of(&rules, &pool);
	assert_true(range.told && !range.several);
	assert_int_equal(range.low, 5000);
	pool.key.translated = unit_address("10.2.0.7");
	range = lp_nat_range_of(&rules, &pool);
	assert_false(range.told);
	assert_int_equal(range.low, 1024);
	assert_int_equal(range.high, 65535);
	free(pool.map);
}

UNIT_MAIN(cmocka_unit_test(pools_are_of_address_and_destination),
          cmocka_unit_test(clients_are_counted_with_their_bound),
          cmocka_unit_test(the_smaller_half_is_dropped), cmocka_unit_test(maps_are_bounded),
          cmocka_unit_test(the_chance_is_that_of_the_search),
          cmocka_unit_test(full_and_empty_are_certain), cmocka_unit_test(rules_are_read),
          cmocka_unit_test(chains_are_followed_once),
          cmocka_unit_test(the_rule_is_the_one_whose_ports_are_in_use))
