/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the path of a cgroup tells by the habits of those who make cgroups: systemd, container
 * engines, Kubernetes. Nothing is looked up: a path that follows no habit tells nothing.
 */

enum {
	LP_CGROUP_UNIT = 256, /* a name of a folder, and its end */
	LP_CGROUP_CONTAINER = 128,
	LP_CGROUP_POD = 37, /* "6ba7b810-9dad-11d1-80b4-00c04fd430c8" */
};

/* Each text is empty where the path does not tell. */
struct lp_cgroup_names {
	/* of systemd, the innermost, as systemctl takes it: "nginx.service", "session-3.scope" */
	char unit[LP_CGROUP_UNIT];
	/* the innermost: 64 hexadecimal digits, or the name that LXC and systemd-nspawn give */
	char container[LP_CGROUP_CONTAINER];
	const char *runtime; /* "docker", "podman" … static; "" where the path does not tell */
	char pod[LP_CGROUP_POD]; /* uid of a Kubernetes pod, with dashes if it is a UUID */
};

/* path: "/system.slice/nginx.service". Any text is allowed. */
void lp_cgroup_names(const char *path, struct lp_cgroup_names *ret);
