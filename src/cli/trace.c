/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport trace: what the kernel refuses and cuts short, as it happens. */

#include <errno.h>
#include <signal.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/patient.h"

enum { LONGEST_S = 1000000 };
enum key { KEY_EACH = 256, KEY_FOR, KEY_COLOUR };

struct trace_command {
	struct lastport_trace_options trace;
	enum when colour;
};

static const struct argp_option options[] = {
        {"each", KEY_EACH, NULL, 0, "single events, where there are such, not counts", 0},
        {"for", KEY_FOR, "SECONDS", 0, "end by itself after so long", 0},
        {"interval", 'i', "SECONDS", 0, "tell counts so often: 1", 0},
        {"netns", 'n', "NETNS", 0,
         "only this network namespace: its name under /run/netns, its inode, 'host', 'self', or "
         "'all' (the default)",
         0},
        {"json", 'j', NULL, 0, "each line an object of JSON", 0},
        {"colour", KEY_COLOUR, "WHEN", 0, "'auto' (the default), 'always' or 'never'", 0},
        {"color", 0, NULL, OPTION_ALIAS, NULL, 0},
        {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct trace_command *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		return 0;
	case KEY_EACH:
		o->trace.each = true;
		return 0;
	case KEY_FOR:
		o->trace.for_ms =
		        (uint32_t)(option_real(state, "for", arg, "s", 0.1, LONGEST_S) * 1000);
		return 0;
	case 'i':
		o->trace.interval_ms =
		        (uint32_t)(option_real(state, "interval", arg, "s", 0.1, 3600) * 1000);
		return 0;
	case 'n':
		o->trace.netns = arg;
		return 0;
	case 'j':
		o->trace.json = true;
		return 0;
	case KEY_COLOUR:
		o->colour = option_when(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "'%s' is one too many: trace takes options only", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Readable once the command is told to end. */
static int open_stop(void)
{
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return lp_errno();
	int fd = signalfd(-1, &signals, SFD_CLOEXEC);
	return fd < 0 ? lp_errno() : fd;
}

int trace_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .doc = "What the kernel refuses and cuts short, as it happens: a line for each "
	               "kind "
	               "of event and interval.\vEnds by Ctrl-C, and says what it was in all. Exit "
	               "status: 0; 64 an option is wrong; 71 the system can't be read; 74 a line "
	               "can't be written; 77 no permission.",
	};
	struct trace_command o = {.trace = LASTPORT_TRACE_OPTIONS_INIT};
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	_cleanup_(lp_close_fd) int stop = open_stop();
	if (stop < 0)
		return complain(EX_OSERR, "signals can't be waited for: %s", strerror(-stop));
	_cleanup_(lp_close_file) FILE *out = patient_open(STDOUT_FILENO, stop);
	if (!out)
		return complain(EX_OSERR, "out of memory");
	o.trace.stop = stop;
	o.trace.unicode = output_unicode();
	o.trace.colour = output_colour(o.colour);
	char message[512];
	int r = lastport_trace(&o.trace, out, message, sizeof(message));
	if (r < 0)
		__fpurge(out);
	if (r == -ETIMEDOUT)
		return complain(EX_IOERR, "told to end, while nobody takes what was to be told");
	return r < 0 && *message ? complain(look_status(r), "%s", message) : write_status(r);
}
