/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport ledger: programs in the kernel that remember owners and refused connects. */

#include <errno.h>
#include <string.h>

#include "cli/command.h"

enum {
	IS_OFF = 1,
	SCREEN_ROWS = 10,
	LEAST_MIB = 1,
	MOST_MIB = 2048,
};

struct ledger_options {
	struct lastport_ledger_options ledger;
	const char *verb;
	bool all, json;
	struct style style;
};

enum key { KEY_BPFFS = 256 };

static const struct argp_option options[] = {
        {"memory", 'm', "MIB", 0, "on: at most so much memory for its tables; else 32", 0},
        {"bpffs", KEY_BPFFS, "DIR", 0,
         "where a BPF file system is mounted; else LASTPORT_BPFFS, or /sys/fs/bpf", 0},
        {"all", 'a', NULL, 0, "show: all lines of every list", 0},
        {"json", 'j', NULL, 0, "show: as JSON", 0},
        {0},
};

static int turn_on(const struct ledger_options *o)
{
	enum lastport_ledger_change change = LASTPORT_LEDGER_UNCHANGED;
	char message[512];
	int r = lastport_ledger_on(&o->ledger, &change, message, sizeof(message));
	if (r < 0)
		return complain(look_status(r), "%s", message);
	const char *const said[] = {
	        [LASTPORT_LEDGER_UNCHANGED] = "The ledger was on already.",
	        [LASTPORT_LEDGER_CHANGED] = "The ledger is on.",
	        [LASTPORT_LEDGER_REPLACED] = "The ledger is on, and begins anew.",
	};
	return write_status(puts(said[change]) == EOF ? -EIO : 0);
}

static int turn_off(const struct ledger_options *o)
{
	enum lastport_ledger_change change = LASTPORT_LEDGER_UNCHANGED;
	char message[512];
	int r = lastport_ledger_off(&o->ledger, &change, message, sizeof(message));
	if (r < 0)
		return complain(look_status(r), "%s", message);
	const char *said = change == LASTPORT_LEDGER_UNCHANGED ? "The ledger was off already."
	                                                       : "The ledger is off.";
	return write_status(puts(said) == EOF ? -EIO : 0);
}

static int write_ledger(const struct ledger_options *o, const struct lastport_ledger *ledger)
{
	if (o->json)
		return write_status(lastport_ledger_write_json(ledger, stdout));
	const struct lastport_text_options text = style_text(&o->style, o->all ? 0 : SCREEN_ROWS);
	return write_status(lastport_ledger_write_text(ledger, &text, stdout));
}

static int show(const struct ledger_options *o)
{
	struct lastport_ledger *ledger = NULL;
	char message[512];
	int r = lastport_ledger_read(&o->ledger, &ledger, message, sizeof(message));
	if (r < 0)
		return complain(r == -ENOENT ? IS_OFF : look_status(r), "%s", message);
	int status = write_ledger(o, ledger);
	lastport_ledger_free(ledger);
	return status;
}

static const struct {
	const char *name;
	int (*run)(const struct ledger_options *o);
} verbs[] = {{"on", turn_on}, {"off", turn_off}, {"show", show}};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static const char *option_verb(const struct argp_state *state, const char *text)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, text))
			return verbs[i].name;
	usage_error(state, "'%s': expected on, off or show", text);
}

static void check_together(const struct ledger_options *o, const struct argp_state *state)
{
	if (!o->verb)
		usage_error(state, "expected what to do: on, off or show");
	if (o->ledger.memory_mib && strcmp(o->verb, "on") != 0)
		usage_error(state, "--memory belongs to 'ledger on'");
	if ((o->json || o->all || o->style.width || o->style.colour != WHEN_AUTO) &&
	    strcmp(o->verb, "show") != 0)
		usage_error(state, "--all, --json, --colour and --width belong to 'ledger show'");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ledger_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		state->child_inputs[0] = &o->style;
		return 0;
	case 'm':
		o->ledger.memory_mib =
		        (uint32_t)option_count(state, "memory", arg, LEAST_MIB, MOST_MIB);
		return 0;
	case KEY_BPFFS:
		o->ledger.bpffs = arg;
		return 0;
	case 'a':
		o->all = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->verb)
			usage_error(state, "'%s' is one too many: expected one of on, off, show",
			            arg);
		o->verb = option_verb(state, arg);
		return 0;
	case ARGP_KEY_END:
		check_together(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int ledger_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .children = style_child,
	        .args_doc = "on|off|show",
	        .doc = "Remembers in the kernel who opened and who closed each connection, and "
	               "counts connects that were refused for want of a port.\vExit status: 0; 1 "
	               "'show' and the ledger is off; 64 an option is wrong; 71 the system does "
	               "not allow it; 74 the answer can't be written; 77 no permission.",
	};
	struct ledger_options o = {.ledger = LASTPORT_LEDGER_OPTIONS_INIT};
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, o.verb))
			return verbs[i].run(&o);
	return EX_USAGE;
}
