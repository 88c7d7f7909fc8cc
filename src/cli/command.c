/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the verbs share: how mistakes are told, and values of options. */

#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/number.h"

/* ---- mistakes ------------------------------------------------------------------------------ */

void usage_error(const struct argp_state *state, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fprintf(stderr, "%s: ", state->name);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(EX_USAGE);
}

void options_begin(struct argp_state *state)
{
	state->err_stream = NULL;
}

int complain(int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fputs("lastport: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return status;
}

int look_status(int error)
{
	switch (error) {
	case -EINVAL:
	case -ENOENT:
		return EX_USAGE;
	case -EPERM:
	case -EACCES:
		return EX_NOPERM;
	default:
		return EX_OSERR;
	}
}

int write_status(int error)
{
	if (error == 0)
		return 0;
	__fpurge(stdout);
	if (error == -EPIPE)
		return 0; /* whoever closed the pipe has read enough */
	return complain(EX_IOERR, "writing the answer: %s", strerror(-error));
}

/* ---- values of options --------------------------------------------------------------------- */

const char *option_kind(const struct argp_state *state, const char *text)
{
	char all[256] = "";
	size_t length = 0;
	const char *name;
	for (size_t i = 0; (name = lastport_kind_name(i)); i++) {
		if (!strcmp(name, text))
			return name;
		length += (size_t)snprintf(all + length, sizeof(all) - length, "%s%s",
		                           i ? ", " : "", name);
		if (length >= sizeof(all))
			length = sizeof(all) - 1;
	}
	usage_error(state, "no kind of limit is called '%s': expected %s", text, all);
}

const char *option_destination(const struct argp_state *state, const char *text)
{
	struct lp_address address;
	uint16_t port;
	if (lp_address_port_parse(text, &address, &port) < 0)
		usage_error(state,
		            "destination '%s': expected an address and a port, as in "
		            "10.1.2.3:443 or [::1]:80",
		            text);
	return text;
}

const char *option_reader(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "diag") != 0 && strcmp(text, "bpf") != 0 && strcmp(text, "auto") != 0)
		usage_error(state, "reader '%s': expected diag, bpf or auto", text);
	return text;
}

uint64_t option_count(const struct argp_state *state, const char *what, const char *text,
                      uint64_t low, uint64_t high)
{
	uint64_t n = 0;
	if (lp_number_whole(text, high, &n) < 0 || n < low || strchr(text, '\n'))
		usage_error(state, "%s '%s': expected a whole number of %ju to %ju", what, text,
		            (uintmax_t)low, (uintmax_t)high);
	return n;
}

/* Digits with at most one point among them: no sign, no exponent, no "inf". */
static bool parse_real(const char *text, const char *unit, double *ret)
{
	size_t digits = strspn(text, "0123456789.");
	if (!digits || digits > 30 || (text[digits] && strcmp(text + digits, unit) != 0))
		return false;
	char *end;
	*ret = strtod(text, &end); /* LC_NUMERIC stays "C" */
	return end == text + digits;
}

double option_real(const struct argp_state *state, const char *what, const char *text,
                   const char *unit, double low, double high)
{
	double n = 0;
	if (!parse_real(text, unit, &n) || n < low || n > high)
		usage_error(state, "%s '%s': expected a number of %.10g to %.10g", what, text, low,
		            high);
	return n;
}

uint32_t option_percent(const struct argp_state *state, const char *what, const char *text)
{
	double n = 0;
	if (!parse_real(text, "%", &n) || n > 100)
		usage_error(state, "%s '%s': expected a percentage of 0%% to 100%%", what, text);
	return (uint32_t)(n * 100 + 0.5);
}

enum when option_when(const struct argp_state *state, const char *text)
{
	static const char *const names[] = {
	        [WHEN_AUTO] = "auto", [WHEN_ALWAYS] = "always", [WHEN_NEVER] = "never"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], text))
			return (enum when)i;
	usage_error(state, "colour '%s': expected auto, always or never", text);
}
