/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "lab/lab.h"
#include "lab/stand.h"

enum {
	PORTS = 20,
	TRY_EVERY_MS = 40,
	WATCHED_MS = 3400, /* three times over at one second each, the default delay */
};

/* In which world the ports are asked for again. */
static const struct setting {
	const char *name, *address, *reuse;
	bool stampless;
} settings[] = {
        {"tcp_tw_reuse=0, 127.0.0.1", "127.0.0.1", "0", false},
        {"tcp_tw_reuse=2, 127.0.0.1", "127.0.0.1", "2", false},
        {"tcp_tw_reuse=2, another address", LAB_STAND_ADDRESS, "2", false},
        {"tcp_tw_reuse=1, another address", LAB_STAND_ADDRESS, "1", false},
        {"tcp_tw_reuse=1, no timestamps", LAB_STAND_ADDRESS, "1", true},
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]), RATED = 3 };

struct trying {
	struct lab_stand stand;
	unsigned reused;
	double first_s, last_s; /* after the ports were used up; of a reuse */
};

static int set_up(struct lab_trial *trial, const struct setting *setting, struct trying *t)
{
	struct lp_error *err = lab_error(trial);
	int r = lab_stand_make(trial, setting->address, PORTS, &t->stand);
	if (r == 0)
		r = lab_sysctl(&t->stand.ns, err, "ipv4/tcp_tw_reuse", "%s", setting->reuse);
	if (r == 0 && setting->stampless)
		r = lab_sysctl(&t->stand.ns, err, "ipv4/tcp_timestamps", "0");
	return r;
}

/* Opens and closes until refused; the client closes first every time. */
static int use_up(const struct trying *t, unsigned *ret)
{
	struct lab_how how = {.ns = &t->stand.ns};
	struct lab_count done = lab_open_and_end(&how, &t->stand.to, t->stand.listener,
	                                         LAB_CLIENT_FIRST, 2 * PORTS);
	*ret = done.n;
	return done.error == EADDRNOTAVAIL || !done.error ? 0 : -done.error;
}

static int try_again(struct trying *t, double now_s)
{
	unsigned n;
	int r = use_up(t, &n);
	if (r < 0 || n == 0)
		return r;
	if (t->reused == 0)
		t->first_s = now_s;
	t->last_s = now_s;
	t->reused += n;
	return 0;
}

static int try_all(struct trying tries[SETTINGS])
{
	unsigned n;
	for (unsigned i = 0; i < SETTINGS; i++) {
		int r = use_up(&tries[i], &n);
		if (r < 0)
			return r;
		if (n < PORTS)
			return -EPROTO;
	}
	int64_t start = lp_clock_ns();
	for (int ms = 0; ms < WATCHED_MS; ms = (int)((lp_clock_ns() - start) / 1000000)) {
		lp_clock_sleep_ms(TRY_EVERY_MS);
		for (unsigned i = 0; i < SETTINGS; i++) {
			int r = try_again(&tries[i], (double)(lp_clock_ns() - start) / 1e9);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* After the first time that all ports came back, they come at a rate. 0: not seen. */
static double rate_of(const struct trying *t)
{
	double span = t->last_s - t->first_s;
	return span > 0 && t->reused > PORTS ? (t->reused - PORTS) / span : 0;
}

static void tell(struct lab_trial *trial, const struct setting *setting, const struct trying *t)
{
	lab_case(trial, setting->name);
	lab_counted(trial, "ports", PORTS);
	lab_counted(trial, "reused", t->reused);
	if (t->reused) {
		lab_measured(trial, "first_after_s", t->first_s);
		lab_measured(trial, "opens_per_s", rate_of(t));
		lab_counted(trial, "tw_recycled",
		            lab_counter(&t->stand.ns, "TcpExt", "TWRecycled"));
	}
	lab_case(trial, NULL);
}

static int judge(struct lab_trial *trial, const struct trying tries[SETTINGS])
{
	unsigned free_in = 0;
	for (unsigned i = 0; i < SETTINGS; i++) {
		tell(trial, &settings[i], &tries[i]);
		free_in += tries[i].reused > 0;
	}
	if (free_in == 0 || free_in == SETTINGS)
		return lab_verdict_if(trial, free_in > 0,
		                      "ports in TIME_WAIT were taken within %.1f s in %u of %d "
		                      "settings",
		                      WATCHED_MS / 1e3, free_in, SETTINGS);
	char rate[96] = "";
	if (tries[RATED].reused)
		(void)snprintf(rate, sizeof(rate),
		               "; first after %.1f s, then %.0f opens/s of %d ports",
		               tries[RATED].first_s, rate_of(&tries[RATED]), PORTS);
	return lab_verdict(trial, LAB_DEPENDS,
	                   "on the value, the address and timestamps: ports taken in 3.4 s: 0: %u; "
	                   "2 (the default): %u on 127.0.0.1, %u elsewhere; 1: %u, %u without "
	                   "timestamps%s",
	                   tries[0].reused, tries[1].reused, tries[2].reused, tries[3].reused,
	                   tries[4].reused, rate);
}

static int run(struct lab_trial *trial)
{
	struct trying tries[SETTINGS];
	for (unsigned i = 0; i < SETTINGS; i++)
		tries[i] = (struct trying){.stand = LAB_STAND_NONE};
	int r = 0;
	for (unsigned i = 0; r == 0 && i < SETTINGS; i++)
		r = set_up(trial, &settings[i], &tries[i]);
	if (r == 0)
		r = try_all(tries);
	if (r == 0)
		r = judge(trial, tries);
	for (unsigned i = 0; i < SETTINGS; i++)
		lab_stand_done(&tries[i].stand);
	return r;
}

static const struct lab_turn turns[] = {
        {.what = "timestamps are off everywhere",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_timestamps", "0"}}},
        {0},
};

const struct lab_claim lab_claim_tw_reuse_frees_ports = {
        .id = "tw-reuse-frees-ports",
        .claim = "tcp_tw_reuse lets connect() take ports in TIME_WAIT",
        .source = "tuning guides; Linux Documentation/networking/ip-sysctl",
        .experiment = "20 ports are used up towards one destination and asked for again for 3.4 s, "
                      "with tcp_tw_reuse 0, 1 and 2, on 127.0.0.1 and on another address, with "
                      "timestamps and without",
        .confirms = "ports are taken in every setting",
        .refutes = "in none",
        .seconds = 4,
        .run = run,
        .turns = turns,
};
