/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program of somebody else's that uses the installed library. Also compiled as C++. */

#include <lastport/lastport.h>

#include <stdio.h>

int main(void)
{
	struct lastport_look_options options = LASTPORT_LOOK_OPTIONS_INIT;
	struct lastport_limit limit = LASTPORT_LIMIT_INIT;
	struct lastport_report *report = NULL;
	char message[256] = "";
	options.netns = "self";
	if (lastport_look(&options, &report, message, sizeof(message)) < 0) {
		fprintf(stderr, "lastport_look: %s\n", message);
		return 1;
	}
	if (lastport_report_limit(report, 0, &limit) < 0)
		return 2;
	printf("%s %s\n", lastport_version(), limit.kind);
	lastport_report_free(report);
	return 0;
}
