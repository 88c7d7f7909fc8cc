/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/PID/cgroup, and what a path of it tells. */

#include "kernel/cgroup.h"
#include "snapshot/cgroup.h"
#include "text.h"

static void check_names(const char *path)
{
	struct lp_cgroup_names names;
	lp_cgroup_names(path, &names);
	must_hold(strlen(names.unit) < sizeof(names.unit));
	must_hold(strlen(names.container) < sizeof(names.container));
	must_hold(strlen(names.pod) < sizeof(names.pod));
	must_hold(names.runtime && (!*names.runtime || *names.container));
	must_hold(!strchr(names.unit, '/') && !strchr(names.pod, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), path[512] = "untouched";
	check_names(text);
	if (lp_cgroup_parse(text, path, sizeof(path)) < 0)
		must_hold(!strcmp(path, "untouched"));
	else
		must_hold(path[0] == '/' && strstr(text, path));
	check_names(path);
	free(text);
	return 0;
}
