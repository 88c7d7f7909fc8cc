/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/machine_file.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "forecast/setting.h"
#include "kernel/kernel.h"

enum { LARGEST_FILE = 64 << 20, DEFAULT_REUSE_DELAY_MS = 1000 };

/* What was read so far. */
struct reading {
	struct lp_plan_machine machine;
	size_t found;
	struct lp_error *err;
};

/* ---- one setting --------------------------------------------------------------------------- */

static int wrong(struct reading *r, const char *name, const char *value, const char *expected)
{
	return lp_fail(r->err, EINVAL, "%s = %.60s: expected %s", name, value, expected);
}

static int set_range(struct reading *r, const char *name, const char *value)
{
	uint32_t low, high;
	if (lp_range_parse(value, &low, &high) < 0)
		return wrong(r, name, value, "the first and the last port");
	r->machine.range_low = lp_figure(low);
	r->machine.range_high = lp_figure(high);
	return 0;
}

static int set_reserved(struct reading *r, const char *name, const char *value)
{
	if (lp_port_list_parse(value, &r->machine.reserved) < 0)
		return wrong(r, name, value, "ports, as in 8080,9000-9010");
	return 0;
}

static int set_files(struct reading *r, const char *name, const char *value)
{
	struct lp_machine files = {0};
	if (lp_file_nr_parse(value, &files) < 0)
		return wrong(r, name, value, "three numbers");
	r->machine.files = files.file_allocated;
	return 0;
}

static int set_hz(struct reading *r, const char *name, const char *value)
{
	uint64_t hz;
	if (lp_number_whole(value, 10000, &hz) < 0 || hz < 10)
		return wrong(r, name, value, "timer ticks a second, 10 to 10000");
	r->machine.tick_us = lp_figure(1000000 / hz);
	return 0;
}

/* Those that are no single number. */
static const struct {
	const char *name;
	int (*set)(struct reading *r, const char *name, const char *value);
} others[] = {{"net.ipv4.ip_local_port_range", set_range},
              {"net.ipv4.ip_local_reserved_ports", set_reserved},
              {"fs.file-nr", set_files},
              {"hz", set_hz}};

/* A name that plans do not use is passed over. */
static int set(struct reading *r, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(others[i].name, name) != 0)
			continue;
		r->found++;
		return others[i].set(r, name, value);
	}
	const struct lp_plan_setting *setting = lp_plan_setting_find(name);
	uint64_t n;
	if (!setting)
		return 0;
	if (!strcmp(value, "unlimited"))
		n = setting->most;
	else if (lp_number_whole(value, setting->most, &n) < 0)
		return lp_fail(r->err, EINVAL, "%s = %.60s: expected a number of 0 to %ju", name,
		               value, (uintmax_t)setting->most);
	*lp_plan_setting_figure(setting, &r->machine) = lp_figure(n);
	r->found++;
	return 0;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	char *end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* sysctl.d(5) has slashes too, and a '-' before what may fail. */
static char *plain_name(char *name)
{
	name = trim(name);
	if (*name == '-')
		name++;
	for (char *c = name; *c; c++)
		if (*c == '/')
			*c = '.';
	return name;
}

static int parse_lines(struct reading *r, const char *text)
{
	_cleanup_(lp_free_ptr) char *copy = strdup(text);
	char *rest = copy, *line;
	if (!copy)
		return lp_fail(r->err, ENOMEM, "out of memory");
	while ((line = strsep(&rest, "\n"))) {
		line = trim(line);
		char *value = strchr(line, '=');
		if (strchr("#;[", *line) || !value)
			continue;
		*value++ = '\0';
		int done = set(r, plain_name(line), trim(value));
		if (done < 0)
			return done;
	}
	return 0;
}

/* ---- the JSON of a plan ------------------------------------------------------------------------
 */

static int parse_settings(struct reading *r, json_t *settings)
{
	const char *name;
	json_t *value;
	json_object_foreach(settings, name, value)
	{
		char number[32];
		const char *text = json_string_value(value);
		if (json_is_integer(value)) {
			(void)snprintf(number, sizeof(number), "%jd",
			               (intmax_t)json_integer_value(value));
			text = number;
		}
		int done = text ? set(r, name, text) : 0;
		if (done < 0)
			return done;
	}
	const json_t *ports = json_object_get(settings, "ports");
	if (json_is_integer(ports) && json_integer_value(ports) >= 0 &&
	    json_integer_value(ports) < LP_PORTS)
		r->machine.ports = lp_figure((uint64_t)json_integer_value(ports));
	r->machine.tracks = json_is_true(json_object_get(settings, "tracks"));
	return 0;
}

/* ---- the JSON of a status ----------------------------------------------------------------------
 */

static bool integer_of(const json_t *limit, const char *key, struct lp_figure *ret)
{
	const json_t *value = json_object_get(limit, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = lp_figure((uint64_t)json_integer_value(value));
	return true;
}

/*
 * What a new destination gets: how many ports, and how long each stays, which tells tcp_tw_reuse. A
 * file has one decimal of the rate, so the time is known to a part in a thousand.
 */
static void take_new_destination(struct reading *r, const json_t *limit)
{
	const json_t *scope = json_object_get(limit, "scope");
	const json_t *rate = json_object_get(limit, "sustainable");
	if (!json_is_null(json_object_get(scope, "remote")) ||
	    !integer_of(limit, "capacity", &r->machine.ports))
		return;
	r->found++;
	if (!json_is_number(rate) || json_number_value(rate) <= 0)
		return;
	double stays_s = (double)r->machine.ports.n / json_number_value(rate);
	bool reuse = stays_s < LP_TIME_WAIT_S - 1;
	r->machine.tw_reuse = lp_figure(reuse);
	if (reuse)
		r->machine.tw_reuse_delay_ms = lp_figure((uint64_t)(stays_s * 1000 + 0.5));
}

static void take_pair(struct reading *r, const json_t *limit, struct lp_figure *most,
                      struct lp_figure *now)
{
	struct lp_figure capacity;
	if (!integer_of(limit, "capacity", &capacity))
		return;
	*most = capacity;
	(void)integer_of(limit, "used", now);
	r->found++;
}

static void take_limit(struct reading *r, const json_t *limit)
{
	const char *kind = json_string_value(json_object_get(limit, "kind"));
	struct lp_plan_machine *m = &r->machine;
	const json_t *scope = json_object_get(limit, "scope");
	if (!kind)
		return;
	if (!strcmp(kind, "local-ports"))
		take_new_destination(r, limit);
	else if (!strcmp(kind, "time-wait-buckets"))
		take_pair(r, limit, &m->max_tw_buckets, &m->time_wait);
	else if (!strcmp(kind, "conntrack-entries"))
		take_pair(r, limit, &m->conntrack_max, &m->conntrack_entries);
	else if (!strcmp(kind, "file-descriptors") && !json_object_get(scope, "pid"))
		take_pair(r, limit, &m->file_max, &m->files);
}

/* Whether a limit is of that namespace; those of the machine are of each. */
static bool is_of(const json_t *limit, const char *netns)
{
	const json_t *its = json_object_get(limit, "netns");
	const char *name = json_string_value(json_object_get(its, "name"));
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%jd",
	               (intmax_t)json_integer_value(json_object_get(its, "inode")));
	return !its || (name && !strcmp(name, netns)) || !strcmp(inode, netns);
}

/* "host" where it is there, else the inode of the first one; "" where there is none. */
static void choose_netns(const json_t *limits, char *buf, size_t size)
{
	size_t i;
	const json_t *limit;
	buf[0] = '\0';
	json_array_foreach(limits, i, limit)
	{
		const json_t *its = json_object_get(limit, "netns");
		const char *name = json_string_value(json_object_get(its, "name"));
		if (name && !strcmp(name, "host")) {
			(void)snprintf(buf, size, "host");
			return;
		}
		if (its && !buf[0])
			(void)snprintf(buf, size, "%jd",
			               (intmax_t)json_integer_value(json_object_get(its, "inode")));
	}
}

static int parse_status(struct reading *r, const json_t *limits, const char *netns)
{
	char chosen[64];
	size_t i, before = r->found;
	const json_t *limit;
	if (netns && strcmp(netns, "self") != 0)
		(void)snprintf(chosen, sizeof(chosen), "%s", netns);
	else
		choose_netns(limits, chosen, sizeof(chosen));
	json_array_foreach(limits, i, limit) if (is_of(limit, chosen)) take_limit(r, limit);
	r->machine.tracks = r->machine.conntrack_entries.known && r->machine.conntrack_entries.n;
	if (netns && r->found == before)
		return lp_fail(r->err, EINVAL, "the file has no namespace '%s'", netns);
	return 0;
}

/* ---- everything --------------------------------------------------------------------------------
 */

static int parse_json(struct reading *r, const char *text, const char *netns)
{
	json_error_t error;
	json_auto_t *root = json_loads(text, 0, &error);
	if (!root)
		return lp_fail(r->err, EINVAL, "not JSON: line %d: %s", error.line, error.text);
	json_t *limits = json_object_get(root, "limits");
	json_t *settings = json_object_get(root, "machine");
	if (json_is_array(limits))
		return parse_status(r, limits, netns);
	return parse_settings(r, json_is_object(settings) ? settings : root);
}

/* What follows from the settings. */
static void settle(struct reading *r)
{
	struct lp_plan_machine *m = &r->machine;
	if (m->range_low.known && !m->ports.known)
		m->ports = lp_figure(lp_plan_not_reserved(m, m->range_low.n, m->range_high.n));
	if (m->tw_reuse.known && !m->tw_reuse_delay_ms.known)
		m->tw_reuse_delay_ms = lp_figure(DEFAULT_REUSE_DELAY_MS);
	if (m->conntrack_max.known && m->conntrack_max.n == 0)
		m->conntrack_max.known = false; /* no limit */
	if (m->conntrack_entries.known && m->conntrack_entries.n)
		m->tracks = true;
}

int lp_machine_file_parse(const char *text, const char *netns, struct lp_plan_machine *ret,
                          struct lp_error *err)
{
	struct reading r = {.err = err};
	const char *start = text + strspn(text, " \t\r\n");
	int done = *start == '{' ? parse_json(&r, start, netns) : parse_lines(&r, text);
	if (done < 0)
		return done;
	if (!r.found)
		return lp_fail(err, EINVAL,
		               "nothing that a plan uses: expected settings as 'sysctl -a' prints "
		               "them, or what 'lastport status --all --json' wrote");
	settle(&r);
	*ret = r.machine;
	return 0;
}

int lp_machine_file_read(const char *path, const char *netns, struct lp_plan_machine *ret,
                         struct lp_error *err)
{
	_cleanup_(lp_close_file) FILE *file = fopen(path, "re");
	_cleanup_(lp_free_ptr) char *text = malloc(LARGEST_FILE + 1);
	if (!file)
		return lp_fail(err, EIO, "%s: %s", path, strerror(errno));
	if (!text)
		return lp_fail(err, ENOMEM, "out of memory");
	errno = 0;
	size_t size = fread(text, 1, LARGEST_FILE + 1, file);
	if (ferror(file))
		return lp_fail(err, EIO, "%s: %s", path, strerror(errno));
	if (size > LARGEST_FILE || memchr(text, '\0', size))
		return lp_fail(err, EINVAL, "%s: %s", path,
		               size > LARGEST_FILE ? "larger than 64 MiB" : "not text");
	text[size] = '\0';
	struct lp_error inner = {0};
	int r = lp_machine_file_parse(text, netns, ret, &inner);
	return r < 0 ? lp_fail(err, -r, "%s: %s", path, inner.text) : 0;
}
