/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a process runs: looked up only for those that are named to people. */

#include <sys/types.h>

#include "snapshot/cgroup.h"

enum lp_runtime {
	LP_RUNTIME_UNTOLD, /* not looked at, or may not be */
	LP_RUNTIME_NATIVE, /* nothing below is known of it */
	LP_RUNTIME_GO,
	LP_RUNTIME_JAVA,
	LP_RUNTIME_NODE,
	LP_RUNTIME_PHP,
	LP_RUNTIME_PYTHON,
};

struct lp_program {
	pid_t pid;
	char executable[64]; /* the last part of its path; empty where it may not be asked */
	enum lp_runtime runtime;
	char unit[LP_CGROUP_UNIT]; /* of systemd: "nginx.service"; empty where there is none */
};
