/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport status: the limits nearest to exhaustion. */

#include <string.h>

#include "cli/command.h"

enum { SCREEN_ROWS = 10, LONGEST_S = 3600 };

struct status_options {
	struct lastport_look_options look;
	bool all, json;
	struct style style;
};

enum key { KEY_READER = 256, KEY_EXACT };

static const struct argp_option options[] = {
        {"all", 'a', NULL, 0, "every limit, unused ones too", 0},
        {"kind", 'k', "KIND", 0, "only this kind of limit, as JSON names it: local-ports", 0},
        {"netns", 'n', "NETNS", 0,
         "only this network namespace: its name under /run/netns, its inode, 'host', 'self', or "
         "'all' (the default)",
         0},
        {"json", 'j', NULL, 0, "every limit, as JSON", 0},
        {"interval", 'i', "SECONDS", 0,
         "look twice, so far apart, to see how fast those limits fill whose rate one look does "
         "not tell",
         0},
        {"reader", KEY_READER, "READER", 0,
         "how to read sockets: 'diag', 'bpf' or 'auto' (the default)", 0},
        {"exact", KEY_EXACT, NULL, 0,
         "count all sockets, also where there are so many that a sample would do", 0},
        {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct status_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		state->child_inputs[0] = &o->style;
		return 0;
	case 'a':
		o->all = true;
		return 0;
	case 'k':
		o->look.kind = option_kind(state, arg);
		return 0;
	case 'n':
		o->look.netns = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'i':
		o->look.interval_ms =
		        (uint32_t)(option_real(state, "interval", arg, "s", 0.1, LONGEST_S) * 1000);
		return 0;
	case KEY_READER:
		o->look.reader = option_reader(state, arg);
		return 0;
	case KEY_EXACT:
		o->look.exact = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "'%s' is one too many: status takes options only", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int write_report(const struct status_options *o, const struct lastport_report *report)
{
	if (o->json)
		return write_status(lastport_write_json(report, stdout));
	const struct lastport_text_options text = style_text(&o->style, o->all ? 0 : SCREEN_ROWS);
	return write_status(lastport_write_text(report, &text, stdout));
}

int status_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .children = style_child,
	        .doc = "The limits nearest to exhaustion.\vExit status: 0, also where not all "
	               "could be read, which the answer then says; 64 an option is wrong; 71 the "
	               "system can't be read; 74 the answer can't be written; 77 no permission.",
	};
	struct status_options o = {.look = LASTPORT_LOOK_OPTIONS_INIT};
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	struct lastport_report *report = NULL;
	char message[512];
	int r = lastport_look(&o.look, &report, message, sizeof(message));
	if (r < 0)
		return complain(look_status(r), "%s", message);
	int status = write_report(&o, report);
	lastport_report_free(report);
	return status;
}
