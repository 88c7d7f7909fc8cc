/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"

enum { LARGEST_PID = 1 << 22 }; /* PID_MAX_LIMIT */

/* The beginning of what was given, safe to print in one line. */
static const char *shown(const char *what, char buf[64])
{
	bool whole = strlen(what) < 60;
	(void)snprintf(buf, 64, whole ? "%s" : "%.56s...", what);
	lp_utf8_clean(buf);
	return buf;
}

static int read_pid(const char *digits, struct lp_query *ret, struct lp_error *err)
{
	char buf[64];
	uint64_t pid;
	if (lp_number_whole(digits, LARGEST_PID, &pid) < 0 || pid == 0)
		return lp_fail(err, EINVAL, "'pid:%s': expected a process's number, as in pid:812",
		               shown(digits, buf));
	ret->of = LP_QUERY_PID;
	ret->line.pid = (pid_t)pid;
	return 0;
}

/* "db.example.com:5432": letters, digits and dots, then a port. */
static bool is_name_and_port(const char *what)
{
	size_t name = 0;
	while (isalnum((unsigned char)what[name]) || (what[name] && strchr(".-", what[name])))
		name++;
	size_t digits = what[name] == ':' ? strspn(what + name + 1, "0123456789") : 0;
	return name && digits && !what[name + 1 + digits];
}

static int not_understood(const char *what, struct lp_error *err)
{
	char buf[64];
	return lp_fail(err, EINVAL,
	               "'%s' tells no error that is known here. Understood are ADDRESS:PORT, "
	               "pid:N, a kind of limit or a finding (local-ports), an error's name "
	               "(EADDRNOTAVAIL), or a line of a log that has an error in it",
	               shown(what, buf));
}

static bool read_destination(const char *what, struct lp_query *ret)
{
	if (lp_address_port_parse(what, &ret->line.address, &ret->line.port) < 0 &&
	    lp_address_parse(what, &ret->line.address) < 0)
		return false;
	ret->of = LP_QUERY_DESTINATION;
	return true;
}

static int read_line(const char *what, struct lp_query *ret, struct lp_error *err)
{
	lp_line_read(what, &ret->line);
	ret->of = LP_QUERY_SYMPTOM;
	if (ret->line.symptom)
		return 0;
	char buf[64];
	if (is_name_and_port(what))
		return lp_fail(err, EINVAL,
		               "'%s': names of hosts are not looked up: expected an address, as in "
		               "10.1.2.3:443",
		               shown(what, buf));
	return not_understood(what, err);
}

int lp_query_read(const char *what, struct lp_query *ret, struct lp_error *err)
{
	*ret = (struct lp_query){.of = LP_QUERY_WORST};
	if (!what || !*what)
		return 0;
	if (!strncmp(what, "pid:", 4))
		return read_pid(what + 4, ret, err);
	ret->limit = lp_limit_kind_find(what);
	ret->rule = lp_rule_find(what);
	if (ret->limit || ret->rule) {
		ret->of = ret->limit ? LP_QUERY_LIMIT : LP_QUERY_FINDING;
		return 0;
	}
	return read_destination(what, ret) ? 0 : read_line(what, ret, err);
}
