/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum { BACKLOG = 4096, SERVER_PORT = 1000 };

/* [family is IPv6][which] */
static const char *const wire_sources[2][WORLD_SOURCES] = {{"10.1.0.1", "10.1.0.2", "10.1.0.3"},
                                                           {"fd01::1", "fd01::2", "fd01::3"}};
static const char *const wire_destinations[2][WORLD_DESTINATIONS] = {
        {"10.1.0.101", "10.1.0.102", "10.1.0.103"}, {"fd01::101", "fd01::102", "fd01::103"}};
/* The last of each is the namespace's own but no loopback address. */
static const char *const lo_addresses[2][3] = {{"127.0.0.1", "127.0.0.7", "10.5.0.1"},
                                               {"::1", "fd05::2", "fd05::1"}};

static const struct lab_ns *server_of(const struct world *w)
{
	return w->wire ? &w->server : &w->client;
}

static void set_sysctls(struct world *w)
{
	struct lp_error err = {0};
	assert_ok(
	        lab_sysctl(&w->client, &err, "ipv4/ip_local_port_range", "%u %u", w->low, w->high),
	        err);
	assert_ok(lab_sysctl(&w->client, &err, "ipv4/ip_local_reserved_ports", "%s", w->reserved),
	          err);
	assert_ok(lab_sysctl(&w->client, &err, "ipv4/tcp_tw_reuse", "%u", w->reuse), err);
	assert_ok(lab_sysctl(&w->client, &err, "ipv4/tcp_tw_reuse_delay", "%u", w->delay_ms), err);
	assert_ok(lab_sysctl(&w->client, &err, "ipv4/tcp_timestamps", "%u", w->timestamps), err);
	if (w->wire)
		assert_ok(lab_sysctl(&w->server, &err, "ipv4/tcp_timestamps", "%u", w->timestamps),
		          err);
}

static void roll_sysctls(struct world *w)
{
	static const unsigned delays[] = {1, 1, 1, 60000, 60000, 60000, 10000, 10000, 300};
	struct dice *dice = &w->dice;
	unsigned size = dice_pick(dice, 20, dice_chance(dice, 20) ? 400 : 120);
	w->low = dice_pick(dice, 1100, 65535 - size);
	w->high = w->low + size - 1;
	w->reuse = dice_pick(dice, 0, 2);
	w->timestamps = dice_chance(dice, 70);
	w->delay_ms = delays[dice_pick(dice, 0, 8)];
	unsigned n = dice_chance(dice, 50) ? dice_pick(dice, 1, 4) : 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned from = dice_pick(dice, w->low - 10, w->high), to = from;
		if (dice_chance(dice, 40))
			to = from + dice_pick(dice, 1, 12);
		to = to > 65535 ? 65535 : to;
		size_t length = strlen(w->reserved);
		(void)snprintf(w->reserved + length, sizeof(w->reserved) - length, "%s%u-%u",
		               length ? "," : "", from, to);
	}
}

static void lay_wire(struct world *w)
{
	struct lp_error err = {0};
	assert_ok(lab_ns_make(&w->server, &err), err);
	assert_ok(lab_veth(&w->client, "c0", &w->server, "s0", &err), err);
	assert_ok(lab_addresses(&w->client, "c0", "10.1.0.1/24", WORLD_SOURCES, &err), err);
	assert_ok(lab_addresses(&w->client, "c0", "fd01::1/64", WORLD_SOURCES, &err), err);
	assert_ok(lab_addresses(&w->server, "s0", "10.1.0.101/24", WORLD_DESTINATIONS, &err), err);
	assert_ok(lab_addresses(&w->server, "s0", "fd01::101/64", WORLD_DESTINATIONS, &err), err);
}

static void lay_loopback(struct world *w)
{
	struct lp_error err = {0};
	assert_ok(lab_address(&w->client, "lo", "10.5.0.1/32", &err), err);
	assert_ok(lab_addresses(&w->client, "lo", "fd05::1/128", 2, &err), err);
}

static const char *source_text(const struct world *w, int six, unsigned which)
{
	return w->wire ? wire_sources[six][which] : lo_addresses[six][which];
}

static const char *destination_text(const struct world *w, int six, unsigned which)
{
	return w->wire ? wire_destinations[six][which] : lo_addresses[six][which];
}

/* Over lo, some destinations listen on a port of the range. */
static void open_destinations(struct world *w)
{
	for (int six = 0; six < 2; six++) {
		for (unsigned i = 0; i < WORLD_DESTINATIONS; i++) {
			uint16_t port = (uint16_t)(SERVER_PORT + i);
			if (dice_chance(&w->dice, 25))
				port = (uint16_t)dice_pick(&w->dice, w->low, w->high);
			struct lab_addr at = lab_addr(destination_text(w, six, i), port);
			struct lab_how how = {
			        .ns = server_of(w), .from = &at, .options = LAB_REUSEADDR};
			struct world_destination *d = &w->destinations[six][i];
			*d = (struct world_destination){.at = at};
			d->listener = must(lab_listen(&how, BACKLOG));
			must(lab_hold(&w->fds, d->listener));
		}
	}
}

/* Which address an unbound socket would use: a datagram socket tells without any traffic. */
static void learn_source(const struct world *w, struct world_pool *pool)
{
	_cleanup_(lab_leave) int home = must(lab_enter(&w->client));
	(void)home;
	_cleanup_(lp_close_fd) int fd = socket(lab_addr_family(&pool->to), SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &pool->to.any, pool->to.length), 0);
	struct lab_addr local = lab_addr_local(fd);
	lab_addr_text(&local, pool->local, sizeof(pool->local));
}

/* lastport folds IPv4-mapped addresses. */
static void fold(char text[WORLD_TEXT])
{
	if (!strncmp(text, "::ffff:", 7))
		memmove(text, text + 7, strlen(text + 7) + 1);
}

static bool pool_known(const struct world *w, const struct world_pool *pool)
{
	for (size_t i = 0; i < w->n_pools; i++) {
		const struct world_pool *other = &w->pools[i];
		if (other->port == pool->port && !strcmp(other->local, pool->local) &&
		    !strcmp(other->remote, pool->remote))
			return true;
	}
	return false;
}

static struct lab_addr address_of(const char *text, uint16_t port, bool mapped)
{
	char both[WORLD_TEXT];
	(void)snprintf(both, sizeof(both), "%s%s", mapped ? "::ffff:" : "", text);
	return lab_addr(both, port);
}

/* Some source, some destination, in IPv4, IPv6, or IPv4 through IPv6 sockets. */
static void add_pool(struct world *w)
{
	struct dice *dice = &w->dice;
	int six = dice_chance(dice, 40);
	bool mapped = !six && dice_chance(dice, 30);
	unsigned which = dice_pick(dice, 0, WORLD_DESTINATIONS - 1);
	const struct world_destination *d = &w->destinations[six][which];
	struct world_pool *pool = &w->pools[w->n_pools];
	*pool = (struct world_pool){.family = six ? AF_INET6 : AF_INET,
	                            .listener = d->listener,
	                            .port = lab_addr_port(&d->at),
	                            .how = {.ns = &w->client}};
	pool->to = address_of(destination_text(w, six, which), pool->port, mapped);
	if (dice_chance(dice, 50)) {
		unsigned source = dice_pick(dice, 0, WORLD_SOURCES - 1);
		pool->from = address_of(source_text(w, six, source), 0, mapped);
		pool->how.from = &pool->from;
		pool->how.options = LAB_BIND_NO_PORT;
		lab_addr_text(&pool->from, pool->local, sizeof(pool->local));
	} else {
		learn_source(w, pool);
	}
	lab_addr_text(&pool->to, pool->remote, sizeof(pool->remote));
	fold(pool->local);
	fold(pool->remote);
	if (!pool_known(w, pool))
		w->n_pools++;
}

void world_make(struct world *world, uint64_t seed)
{
	*world = (struct world){.seed = seed,
	                        .dice = {.state = seed},
	                        .client = LAB_NS_NONE,
	                        .server = LAB_NS_NONE};
	struct lp_error err = {0};
	assert_ok(lab_ns_make(&world->client, &err), err);
	world->wire = dice_chance(&world->dice, 50);
	if (world->wire)
		lay_wire(world);
	else
		lay_loopback(world);
	roll_sysctls(world);
	set_sysctls(world);
	open_destinations(world);
	unsigned n = dice_pick(&world->dice, 1, WORLD_POOLS);
	for (unsigned i = 0; i < n; i++)
		add_pool(world);
}

void world_done(struct world *world)
{
	lab_fds_done(&world->fds);
	lab_ns_done(&world->client);
	lab_ns_done(&world->server);
}

struct lab_addr world_local(struct world *w, uint16_t port, bool wildcards)
{
	int six = dice_chance(&w->dice, 50);
	if (wildcards && dice_chance(&w->dice, 40))
		return lab_addr(six ? "::" : "0.0.0.0", port);
	if (dice_chance(&w->dice, 20))
		return lab_addr(six ? "::1" : "127.0.0.1", port);
	return lab_addr(source_text(w, six, dice_pick(&w->dice, 0, WORLD_SOURCES - 1)), port);
}

/* Listeners and bound sockets, most of them in the range. Where another one is, none is made. */
static void hold_ports(struct world *w)
{
	struct dice *dice = &w->dice;
	unsigned n = dice_chance(dice, 60) ? dice_pick(dice, 1, 15) : 0;
	for (unsigned i = 0; i < n; i++) {
		uint16_t port = (uint16_t)dice_pick(dice, w->low - 5, w->high);
		struct lab_addr at = world_local(w, port, true);
		struct lab_how how = {.ns = &w->client, .from = &at};
		how.options |= dice_chance(dice, 30) ? LAB_REUSEADDR : 0;
		how.options |= dice_chance(dice, 30) ? LAB_REUSEPORT : 0;
		how.options |= dice_chance(dice, 40) ? LAB_V6ONLY : 0;
		int fd = dice_chance(dice, 50) ? lab_listen(&how, 5) : lab_bound(&how);
		if (fd >= 0)
			must(lab_hold(&w->fds, fd));
		else if (fd != -EADDRINUSE)
			fail_msg("bind: %s", strerror(-fd));
	}
}

/* How one connection of a random world ends, or does not. */
enum fate { HELD, HALF_CLOSED, ORPHANED, CLIENT_FIRST, SERVER_FIRST, WAS_RESET, FATES };

static void meet(struct world *w, struct lab_pair *pair, enum fate fate)
{
	static const enum lab_end ends[FATES] = {[CLIENT_FIRST] = LAB_CLIENT_FIRST,
	                                         [SERVER_FIRST] = LAB_SERVER_FIRST,
	                                         [WAS_RESET] = LAB_RESET};
	if (fate >= CLIENT_FIRST) {
		must(lab_pair_close(pair, ends[fate]));
		return;
	}
	if (fate != HELD)
		must(lab_pair_half_close(pair));
	must(lab_hold(&w->fds, pair->server));
	if (fate == ORPHANED)
		(void)close(pair->client);
	else
		must(lab_hold(&w->fds, pair->client));
}

/* Most of a pool's connections share their fate; now and then two are closed at once. */
static void use_pool(struct world *w, struct world_pool *pool)
{
	struct dice *dice = &w->dice;
	unsigned size = w->high - w->low + 1;
	unsigned n = dice_pick(dice, 0, dice_chance(dice, 15) ? size + 5 : size / 2);
	enum fate often = (enum fate)dice_pick(dice, 0, FATES - 1);
	bool mixed = dice_chance(dice, 50);
	for (unsigned i = 0; i < n; i++) {
		struct lab_pair pair = LAB_PAIR_NONE;
		int r = lab_pair_open(&pool->how, &pool->to, pool->listener, &pair);
		if (r == -EADDRNOTAVAIL)
			return;
		if (r < 0) {
			char text[512];
			fail_msg("%s; %s -> [%s]:%u, number %u: %s",
			         world_text(w, text, sizeof(text)), pool->local, pool->remote,
			         pool->port, i, strerror(-r));
		}
		w->bound_six |= pool->family == AF_INET6 && pool->how.from;
		enum fate fate = often;
		if (mixed && dice_chance(dice, 60))
			fate = (enum fate)dice_pick(dice, 0, FATES - 1);
		meet(w, &pair, fate);
	}
	if (dice_chance(dice, 2)) {
		struct lab_count together =
		        lab_open_and_end(&pool->how, &pool->to, pool->listener, LAB_TOGETHER, 5);
		w->bound_six |= together.n && pool->family == AF_INET6 && pool->how.from;
	}
}

/* Ports that bind() chose: lost to every destination, even while they are in TIME_WAIT. */
static void connect_bound(struct world *w)
{
	struct dice *dice = &w->dice;
	unsigned n = dice_pick(dice, 0, 12);
	for (unsigned i = 0; i < n; i++) {
		const struct world_pool *pool =
		        &w->pools[dice_pick(dice, 0, (unsigned)w->n_pools - 1)];
		struct lab_addr from =
		        address_of(pool->local, 0, lab_addr_family(&pool->to) != pool->family);
		struct lab_how how = {.ns = &w->client, .from = &from};
		struct lab_pair pair = LAB_PAIR_NONE;
		int r = lab_pair_open(&how, &pool->to, pool->listener, &pair);
		if (r == -EADDRNOTAVAIL || r == -EADDRINUSE)
			return;
		must(r);
		w->bound_six |= pool->family == AF_INET6;
		meet(w, &pair, (enum fate)dice_pick(dice, 0, FATES - 1));
	}
}

/* With a short delay: TIME_WAITs older than it, then younger ones. */
static void let_age(const struct world *w)
{
	int64_t ms = w->delay_ms + 20;
	struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	(void)nanosleep(&wait, NULL);
}

void world_fill(struct world *w)
{
	hold_ports(w);
	bool short_delay = w->delay_ms > 1 && w->delay_ms < 1000;
	for (int twice = short_delay; twice >= 0; twice--) {
		/* from the first TIME_WAIT on that could be aged when the kernel is asked */
		w->stale_ns = lp_clock_ns() + w->delay_ms * INT64_C(1000000);
		for (size_t i = 0; i < w->n_pools; i++)
			use_pool(w, &w->pools[i]);
		if (w->bind_first)
			connect_bound(w);
		if (twice)
			let_age(w);
	}
	if (w->delay_ms == 1)
		let_age(w); /* sock_diag tells an age in jiffies */
	if (w->delay_ms <= 1 || !w->reuse || !w->timestamps)
		w->stale_ns = 0; /* age is nothing to them */
}

const char *world_text(const struct world *w, char *buf, size_t size)
{
	(void)snprintf(buf, size,
	               "seed %llu: %s, range %u-%u (%u), reserved '%s', tw_reuse %u, delay %u, "
	               "timestamps %u",
	               (unsigned long long)w->seed, w->wire ? "wire" : "lo", w->low, w->high,
	               w->high - w->low + 1, w->reserved, w->reuse, w->delay_ms, w->timestamps);
	return buf;
}
