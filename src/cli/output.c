/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What standard output is: the only file of the command that asks the system. */

#include <fcntl.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/number.h"
#include "cli/command.h"

int output_hold(void)
{
	bool output = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return EX_OSERR;
	return output ? 0 : complain(EX_IOERR, "standard output is closed");
}

bool output_colour(enum when when)
{
	if (when != WHEN_AUTO)
		return when == WHEN_ALWAYS;
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	if ((no && *no) || !term || !*term || !strcmp(term, "dumb"))
		return false;
	return isatty(STDOUT_FILENO);
}

unsigned output_width(void)
{
	enum { WIDEST = 1000 };
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col < WIDEST ? size.ws_col : WIDEST;
	const char *columns = getenv("COLUMNS");
	uint64_t n;
	if (columns && lp_number_whole(columns, WIDEST, &n) == 0 && n > 0)
		return (unsigned)n;
	return 80;
}

bool output_unicode(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}
