/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* lastport help, lastport version */

#include <string.h>

#include "cli/command.h"

void print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	(void)fprintf(out, "lastport %s\n", lastport_version());
}

static void overview(void)
{
	printf("Usage: lastport [COMMAND] [OPTION...]\n"
	       "How many more TCP connections this machine can open and accept, to whom, which\n"
	       "limit stops it first, and when.\n\n");
	for (const struct command *command = commands; command->name; command++)
		printf("  %-10s %s\n", command->name, command->about);
	printf("\n  -?, --help     this list; after a command, its options\n"
	       "  -V, --version  the version\n\n"
	       "Without a command, options are those of status: 'lastport --all --json'.\n");
}

static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	const char **command = state->input;
	if (key == ARGP_KEY_INIT)
		options_begin(state);
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*command)
		usage_error(state, "'%s' is one too many: expected one command", arg);
	*command = arg;
	return 0;
}

int help_main(int argc, char **argv)
{
	static const struct argp argp = {
	        .parser = parse_help,
	        .args_doc = "[COMMAND]",
	        .doc = "The commands, or what one of them can do.",
	};
	const char *about = NULL;
	if (argp_parse(&argp, argc, argv, 0, NULL, &about) != 0)
		return EX_USAGE;
	if (!about) {
		overview();
		return 0;
	}
	const struct command *command = command_find(about);
	if (!command)
		return complain(EX_USAGE, "no command is called '%s': 'lastport help' lists them",
		                about);
	char name[64], option[] = "--help";
	(void)snprintf(name, sizeof(name), "lastport %s", command->name);
	return command->run(2, (char *[]){name, option, NULL});
}

static error_t parse_version(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_INIT)
		options_begin(state);
	if (key == ARGP_KEY_ARG)
		usage_error(state, "'%s' is one too many: version takes nothing", arg);
	return ARGP_ERR_UNKNOWN;
}

int version_main(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_version, .doc = "The version."};
	if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0)
		return EX_USAGE;
	print_version(stdout, NULL);
	return 0;
}
