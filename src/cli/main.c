/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"

const struct command commands[] = {
        {"status", status_main, "the limits nearest to exhaustion (this is the default)"},
        {"check", check_main, "one line and an exit status for monitoring"},
        {"trace", trace_main, "what the kernel refuses and cuts short, as it happens"},
        {"explain", explain_main, "which limit is behind an error, and what to do"},
        {"plan", plan_main, "what so many connections need, and the highest rate there is"},
        {"prove", prove_main, "what people say of these limits, settled on this kernel"},
        {"ledger", ledger_main, "who opened, who closed, who was refused: on, off, show"},
        {"help", help_main, "this list, or what one command can do: help COMMAND"},
        {"version", version_main, "the version"},
        {0},
};

const struct command *command_find(const char *name)
{
	for (const struct command *command = commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

/* How many letters at the start are the same. */
static size_t alike(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

static int unknown_command(const char *name)
{
	const struct command *nearest = commands;
	for (const struct command *command = commands; command->name; command++)
		if (alike(command->name, name) > alike(nearest->name, name))
			nearest = command;
	if (alike(nearest->name, name) >= 2)
		return complain(EX_USAGE, "no command is called '%s': did you mean '%s'?", name,
		                nearest->name);
	return complain(EX_USAGE, "no command is called '%s': 'lastport help' lists them", name);
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
	return !strcmp(text, a) || !strcmp(text, b);
}

/* argv[0] becomes "lastport VERB", by which the parser of options calls itself in messages. */
static int run(const struct command *command, int argc, char **argv)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "lastport %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

/* What is still in the buffer when the program ends, wherever that is, counts as well. */
static void flush_at_exit(void)
{
	errno = 0;
	if (fflush(stdout) == 0)
		return;
	int status = write_status(lp_errno());
	if (status)
		_exit(status);
}

int main(int argc, char **argv)
{
	int status = output_hold();
	if (status)
		return status;
	(void)signal(SIGPIPE, SIG_IGN); /* seen as EPIPE, by write_status() */
	(void)setlocale(LC_CTYPE, "");
	argp_program_version_hook = print_version;
	if (atexit(flush_at_exit) != 0)
		return EX_OSERR;
	if (argc < 2 || (argv[1][0] == '-' && !is_one_of(argv[1], "--help", "-?") &&
	                 !is_one_of(argv[1], "--version", "-V")))
		return run(commands, argc, argv);
	const char *name = argv[1];
	if (name[0] == '-')
		name = is_one_of(name, "--help", "-?") ? "help" : "version";
	const struct command *command = command_find(name);
	return command ? run(command, argc - 1, argv + 1) : unknown_command(name);
}
