/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport plan: what so many connections need, and the highest rate there is. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/command.h"

enum { DOES_NOT_CARRY = 1, CANT_BE_SAID = 3, MANY = 1000000, LAST_PORT = 65535 };

struct plan_options {
	struct lastport_plan_wishes wishes;
	bool nat, nat_ports, closer, json;
	struct style style;
};

enum key {
	KEY_HOLD = 256,
	KEY_REQUESTS,
	KEY_SOURCES,
	KEY_DESTINATIONS,
	KEY_CLOSER,
	KEY_ROLE,
	KEY_NAT,
	KEY_NAT_PORTS,
	KEY_BIND_FIRST,
	KEY_LOOPBACK,
	KEY_BURST,
	KEY_MACHINE,
};

static const struct argp_option options[] = {
        {"rate", 'r', "R", 0,
         "requests a second, or connections where each has one: '500', '500/s', '30000/min'; "
         "without it, the highest rate that the machine carries is worked out",
         0},
        {"hold", KEY_HOLD, "TIME", 0,
         "how long a connection is open: '2s' (default: 1s), '200ms', '5min'", 0},
        {"requests", KEY_REQUESTS, "N", 0, "requests on each connection (default: 1)", 0},
        {"sources", KEY_SOURCES, "N", 0, "addresses of the clients (default: 1)", 0},
        {"destinations", KEY_DESTINATIONS, "N", 0,
         "addresses and ports of the servers (default: 1)", 0},
        {"closer", KEY_CLOSER, "WHO", 0,
         "who closes first, and so keeps TIME_WAIT: 'client' (the default), 'server' or 'both'", 0},
        {"role", KEY_ROLE, "ROLE", 0,
         "this machine is the 'client' (the default) or the 'server' of the connections", 0},
        {"nat", KEY_NAT, "N", OPTION_ARG_OPTIONAL,
         "this machine is a router that translates them to N addresses (1)", 0},
        {"nat-ports", KEY_NAT_PORTS, "FIRST-LAST", 0,
         "with --nat: ports to translate to (1024-65535)", 0},
        {"bind-first", KEY_BIND_FIRST, NULL, 0,
         "the program calls bind() to an address and port 0 before connect()", 0},
        {"loopback", KEY_LOOPBACK, NULL, 0, "the destinations are 127/8 or ::1", 0},
        {"burst", KEY_BURST, "N", 0, "with --role server: connections that arrive at once", 0},
        {"machine", KEY_MACHINE, "FILE", 0,
         "figures of another machine: what 'sysctl -a' or 'lastport status --all --json' wrote "
         "there",
         0},
        {"netns", 'n', "NETNS", 0,
         "whose figures: a network namespace's name under /run/netns, its inode, 'host' or 'self' "
         "(the default)",
         0},
        {"json", 'j', NULL, 0, "the plan as JSON", 0},
        {0},
};

static uint32_t option_many(const struct argp_state *state, const char *what, const char *text)
{
	return (uint32_t)option_count(state, what, text, 1, MANY);
}

/* A number, and behind it one of the units, of which the first goes without saying. */
struct unit {
	const char *name;
	double factor;
};

static double option_units(const struct argp_state *state, const char *what, const char *text,
                           const struct unit *units, double low, double high, const char *expected)
{
	char *end;
	size_t digits = strspn(text, "0123456789.");
	double n = strtod(text, &end); /* LC_NUMERIC stays "C" */
	const struct unit *unit = units;
	while (*end && unit->name && strcmp(end, unit->name) != 0)
		unit++;
	n *= unit->factor;
	if (!digits || end != text + digits || !unit->name || n < low || n > high)
		usage_error(state, "%s '%s': expected %s", what, text, expected);
	return n;
}

static double option_rate(const struct argp_state *state, const char *text)
{
	static const struct unit units[] = {
	        {"/s", 1}, {"/min", 1 / 60.0}, {"/h", 1 / 3600.0}, {NULL, 0}};
	return option_units(state, "rate", text, units, 1e-6, 1e9,
	                    "a rate above 0 and up to 1000000000/s, as in 500, 500/s or 30000/min");
}

static double option_time(const struct argp_state *state, const char *text)
{
	static const struct unit units[] = {{"s", 1},  {"ms", 1e-3}, {"us", 1e-6},  {"min", 60},
	                                    {"m", 60}, {"h", 3600},  {"d", 86400.}, {NULL, 0}};
	return option_units(state, "hold", text, units, 0, 1e8,
	                    "a time of 0 to 100000000 s, as in 2s, 200ms or 5min");
}

static enum lastport_closer option_closer(const struct argp_state *state, const char *text)
{
	static const char *const names[] = {[LASTPORT_CLOSER_CLIENT] = "client",
	                                    [LASTPORT_CLOSER_SERVER] = "server",
	                                    [LASTPORT_CLOSER_BOTH] = "both"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], text))
			return (enum lastport_closer)i;
	usage_error(state, "closer '%s': expected client, server or both", text);
}

static enum lastport_role option_role(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "client") != 0 && strcmp(text, "server") != 0)
		usage_error(state, "role '%s': expected client or server (a router: --nat)", text);
	return *text == 'c' ? LASTPORT_CLIENT : LASTPORT_SERVER;
}

static void option_ports(const struct argp_state *state, const char *text, uint32_t *low,
                         uint32_t *high)
{
	uint64_t first, last;
	const char *at = text;
	if (lp_number_parse(&at, LAST_PORT, &first) < 0 || *at++ != '-' ||
	    lp_number_parse(&at, LAST_PORT, &last) < 0 || *at || first < 1 || first > last)
		usage_error(state,
		            "nat-ports '%s': expected the first and the last port, as in "
		            "1024-65535",
		            text);
	*low = (uint32_t)first;
	*high = (uint32_t)last;
}

static void check_together(const struct argp_state *state, const struct plan_options *o)
{
	const struct lastport_plan_wishes *w = &o->wishes;
	if (o->nat && w->role == LASTPORT_SERVER)
		usage_error(state, "--nat makes this machine a router: it does not go with --role "
		                   "server");
	if (o->nat_ports && !o->nat)
		usage_error(state,
		            "--nat-ports are those that --nat translates to: give --nat too");
	if (w->burst && w->role != LASTPORT_SERVER)
		usage_error(state, "--burst is about a listener: give --role server too");
	if (w->bind_first && (o->nat || w->role != LASTPORT_CLIENT))
		usage_error(state, "--bind-first is what a client does: it goes with --role client "
		                   "only");
	if (w->loopback && (o->nat || w->role != LASTPORT_CLIENT))
		usage_error(state,
		            "--loopback is about a client's destinations: it goes with --role "
		            "client only");
}

/* What is more than one letter's work. False where the key is none of them. */
static bool take_wish(int key, char *arg, const struct argp_state *state, struct plan_options *o)
{
	struct lastport_plan_wishes *w = &o->wishes;
	switch (key) {
	case KEY_REQUESTS:
		w->requests = (double)option_count(state, "requests", arg, 1, 1000000000);
		return true;
	case KEY_CLOSER:
		w->closer = option_closer(state, arg);
		return true;
	case KEY_ROLE:
		w->role = option_role(state, arg);
		return true;
	case KEY_NAT:
		o->nat = true;
		w->translated = arg ? option_many(state, "nat", arg) : 1;
		return true;
	case KEY_NAT_PORTS:
		o->nat_ports = true;
		option_ports(state, arg, &w->nat_low, &w->nat_high);
		return true;
	case KEY_BIND_FIRST:
		w->bind_first = true;
		return true;
	case KEY_LOOPBACK:
		w->loopback = true;
		return true;
	case KEY_BURST:
		w->burst = option_many(state, "burst", arg);
		return true;
	case KEY_MACHINE:
		w->machine_file = arg;
		return true;
	default:
		return false;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct plan_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		state->child_inputs[0] = &o->style;
		return 0;
	case 'r':
		o->wishes.rate = option_rate(state, arg);
		return 0;
	case KEY_HOLD:
		o->wishes.hold_s = option_time(state, arg);
		return 0;
	case KEY_SOURCES:
		o->wishes.sources = option_many(state, "sources", arg);
		return 0;
	case KEY_DESTINATIONS:
		o->wishes.destinations = option_many(state, "destinations", arg);
		return 0;
	case 'n':
		o->wishes.netns = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "'%s' is one too many: plan takes options only", arg);
	case ARGP_KEY_END:
		check_together(state, o);
		return 0;
	default:
		return take_wish(key, arg, state, o) ? 0 : ARGP_ERR_UNKNOWN;
	}
}

static int write_plan(const struct plan_options *o, const struct lastport_plan *plan)
{
	if (o->json)
		return write_status(lastport_plan_write_json(plan, stdout));
	const struct lastport_text_options text = style_text(&o->style, 0);
	return write_status(lastport_plan_write_text(plan, &text, stdout));
}

int plan_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .children = style_child,
	        .doc = "What so many connections need, which limit stops them first, and the "
	               "smallest "
	               "change that carries them; without --rate, the highest rate.\vExit status: "
	               "0 "
	               "it carries, or no rate was given; 1 it does not; 3 that can't be said, "
	               "the port range is not known; 64 an option is wrong; 71 the system or the "
	               "file can't be read; 74 the answer can't be written; 77 no permission.",
	};
	struct plan_options o = {.wishes = LASTPORT_PLAN_WISHES_INIT};
	o.wishes.hold_s = 1;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	if (o.nat)
		o.wishes.role = LASTPORT_ROUTER;
	struct lastport_plan *plan = NULL;
	char message[512];
	int r = lastport_plan_make(&o.wishes, &plan, message, sizeof(message));
	if (r < 0)
		return complain(look_status(r), "%s", message);
	int status = write_plan(&o, plan);
	if (status == 0 && !lastport_plan_known(plan))
		status = CANT_BE_SAID;
	else if (status == 0 && !lastport_plan_carries(plan))
		status = DOES_NOT_CARRY;
	lastport_plan_free(plan);
	return status;
}
