/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport explain: which limit is behind an error. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

enum { NOT_UNDERSTOOD = 1, LONGEST = 65536, ONE_REMEDY = 1 };

struct explain_options {
	struct lastport_explain_options explain;
	char *what; /* all arguments, with blanks between */
	bool json, all;
	struct style style;
};

static const struct argp_option options[] = {
        {"all", 'a', NULL, 0, "every remedy, not only the best", 0},
        {"netns", 'n', "NETNS", 0,
         "look at this network namespace only: its name under /run/netns, its inode, 'host', "
         "'self', or 'all' (the default)",
         0},
        {"json", 'j', NULL, 0, "the explanation as JSON", 0},
        {0},
};

/* A line need not be quoted where the shell leaves it alone. */
static void add_word(const struct argp_state *state, struct explain_options *o, const char *word)
{
	size_t before = o->what ? strlen(o->what) + 1 : 0, size = strlen(word) + 1;
	char *longer = NULL;
	if (before + size <= LONGEST)
		longer = realloc(o->what, before + size);
	if (!longer)
		usage_error(state, "the text is too long: expected at most %d bytes", LONGEST);
	if (before)
		longer[before - 1] = ' ';
	memcpy(longer + before, word, size);
	o->what = longer;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct explain_options *o = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		options_begin(state);
		state->child_inputs[0] = &o->style;
		return 0;
	case 'a':
		o->all = true;
		return 0;
	case 'n':
		o->explain.netns = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		add_word(state, o, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int write_explanation(const struct explain_options *o,
                             const struct lastport_explanation *explanation)
{
	if (o->json)
		return write_status(lastport_explanation_write_json(explanation, stdout));
	const struct lastport_text_options text = style_text(&o->style, o->all ? 0 : ONE_REMEDY);
	return write_status(lastport_explanation_write_text(explanation, &text, stdout));
}

static int explain(const struct explain_options *o)
{
	struct lastport_explanation *explanation = NULL;
	char message[512];
	int r = lastport_explain(&o->explain, &explanation, message, sizeof(message));
	if (r < 0)
		return complain(r == -ENOMSG ? NOT_UNDERSTOOD : look_status(r), "%s", message);
	int status = write_explanation(o, explanation);
	lastport_explanation_free(explanation);
	return status;
}

/* "-bash: connect: Cannot assign requested address": no option has a blank behind its one dash. */
static bool is_line(const char *argument)
{
	return argument[0] == '-' && argument[1] != '-' && strchr(argument, ' ');
}

/* The arguments with such lines behind a "--", where they are none of options. How many. */
static int lines_last(int argc, char **argv, char **ret)
{
	static char end[] = "--";
	int n = 0, options_end = 0;
	while (options_end < argc && strcmp(argv[options_end], end) != 0)
		options_end++;
	for (int i = 0; i < options_end; i++)
		if (!is_line(argv[i]))
			ret[n++] = argv[i];
	ret[n++] = end;
	for (int i = 0; i < options_end; i++)
		if (is_line(argv[i]))
			ret[n++] = argv[i];
	for (int i = options_end + 1; i < argc; i++)
		ret[n++] = argv[i];
	return n;
}

int explain_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .options = options,
	        .parser = parse,
	        .children = style_child,
	        .args_doc = "[WHAT]",
	        .doc = "Which limit is behind an error: what speaks for and against each, and what "
	               "to "
	               "do. WHAT is ADDRESS:PORT, pid:N, a kind of limit or a finding, an error's "
	               "name, or a line of a log; without it, the worst limit now.\vExit status: 0 "
	               "explained; 1 WHAT is not understood; 64 an option is wrong; 71 the system "
	               "can't be read; 74 the answer can't be written; 77 no permission.",
	};
	struct explain_options o = {.explain = LASTPORT_EXPLAIN_OPTIONS_INIT};
	int status = EX_USAGE;
	char **sorted = calloc((size_t)argc + 2, sizeof(*sorted));
	if (!sorted)
		return complain(EX_OSERR, "out of memory");
	if (argp_parse(&argp, lines_last(argc, argv, sorted), sorted, 0, NULL, &o) == 0) {
		o.explain.what = o.what;
		status = explain(&o);
	}
	free(sorted);
	free(o.what);
	return status;
}
