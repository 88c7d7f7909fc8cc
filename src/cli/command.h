/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command: a thin user of liblastport. One file a verb; main.c lists them. Verbs take their
 * own argc and argv, with "lastport VERB" as argv[0], and return the exit status.
 */

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sysexits.h>

#include <lastport/lastport.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *about; /* one line, for the overview */
};

int status_main(int argc, char **argv);
int check_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int prove_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int ledger_main(int argc, char **argv);
int help_main(int argc, char **argv);
int version_main(int argc, char **argv);

/* Prints the version; state may be NULL. */
void print_version(FILE *out, struct argp_state *state);

/* All of them; ends with an entry without a name. */
extern const struct command commands[];
/* NULL where none is called so. */
const struct command *command_find(const char *name);

/*
 * For ARGP_KEY_INIT: of a mistake that getopt() has told in one line, argp then writes nothing more
 * and lets argp_parse() return.
 */
void options_begin(struct argp_state *state);

/*
 * Says on standard error what was wrong with an option, in one line after the name of the command,
 * and ends the program with EX_USAGE.
 */
_Noreturn void usage_error(const struct argp_state *state, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* One line on standard error, after "lastport: ". Returns `status`. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The exit status for a negative errno of lastport_look(). */
int look_status(int error);

/*
 * The exit status for what writing the answer gave: 0, or a negative errno, which it tells. What is
 * left in the buffer is then given up. A pipe that was closed is no error.
 */
int write_status(int error);

/* ---- values of options: each ends the program by usage_error() where the text is none ------ */

/* A kind of limit; the error lists them all. */
const char *option_kind(const struct argp_state *state, const char *text);

/* "diag", "bpf" or "auto". Returns the text. */
const char *option_reader(const struct argp_state *state, const char *text);

/* "10.1.2.3:443" or "[::1]:80". Returns the text. */
const char *option_destination(const struct argp_state *state, const char *text);

/* A whole number of low to high. */
uint64_t option_count(const struct argp_state *state, const char *what, const char *text,
                      uint64_t low, uint64_t high);

/* A decimal fraction of low to high, with or without `unit` behind it. */
double option_real(const struct argp_state *state, const char *what, const char *text,
                   const char *unit, double low, double high);

/* "80%" or "80", with at most two decimals, in permyriad: 0 to 10000. */
uint32_t option_percent(const struct argp_state *state, const char *what, const char *text);

/* ---- what standard output is --------------------------------------------------------------- */

/*
 * A descriptor that is closed would be given to the next file opened, and the answer be written
 * into it: standard input and error become /dev/null then, and without an output there is nothing
 * to do. 0, or the exit status, told.
 */
int output_hold(void);

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/* "auto", "always", "never". */
enum when option_when(const struct argp_state *state, const char *text);

/* Colour only for a terminal that is not dumb and where NO_COLOR is not set, unless told. */
bool output_colour(enum when when);

/* Columns: of the terminal, else of COLUMNS, else 80. */
unsigned output_width(void);

/* Whether the locale writes UTF-8. */
bool output_unicode(void);

/* What --colour and --width say. */
struct style {
	enum when colour;
	unsigned width; /* 0: that of the output */
};

/*
 * These two options, for a command's struct argp: its parser hands on a struct style when it gets
 * ARGP_KEY_INIT, by state->child_inputs[0].
 */
extern const struct argp_child style_child[];

/* How to write text to standard output. rows: 0 for all. */
struct lastport_text_options style_text(const struct style *style, unsigned rows);
