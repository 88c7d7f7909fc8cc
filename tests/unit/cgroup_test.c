/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What paths of cgroups tell, as systemd, container engines and Kubernetes make them. */

#include <errno.h>

#include "kernel/cgroup.h"
#include "snapshot/cgroup.h"
#include "unit.h"

#define ID     "3f2a9c0d7b1e84565a6c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"
#define ID2    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UID    "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
#define UID_   "6ba7b810_9dad_11d1_80b4_00c04fd430c8"
#define STATIC "a3f5c0e29b7d4816a3f5c0e29b7d4816"
#define TASK   "9781c248e1df4d1fb11a5d36a8e3a0f1"
#define USER   "/user.slice/user-1000.slice/user@1000.service"
#define BURST  "/kubepods.slice/kubepods-burstable.slice"

static const struct shape {
	const char *path, *unit, *container, *runtime, *pod;
} shapes[] = {
        /* systemd */
        {"/", "", "", "", ""},
        {"/init.scope", "init.scope", "", "", ""},
        {"/system.slice/nginx.service", "nginx.service", "", "", ""},
        {"/system.slice/system-postgresql.slice/postgresql@15-main.service",
         "postgresql@15-main.service", "", "", ""},
        {"/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service",
         "serial-getty@ttyS0.service", "", "", ""},
        {"/system.slice/dev-disk-by\\x2dlabel-swap.swap", "dev-disk-by\\x2dlabel-swap.swap", "", "",
         ""},
        {"/system.slice/_cpu.service", "cpu.service", "", "", ""},
        {"/system.slice/foo.service/payload", "foo.service", "", "", ""},
        {"/system.slice", "", "", "", ""},
        {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "", ""},
        {USER "/init.scope", "init.scope", "", "", ""},
        {USER "/app.slice/app-gnome-firefox-2154.scope", "app-gnome-firefox-2154.scope", "", "",
         ""},
        {USER "/app.slice/dbus.service", "dbus.service", "", "", ""},
        /* docker */
        {"/docker/" ID, "", ID, "docker", ""},
        {"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker", ""},
        {"/docker/" ID "/docker/" ID2, "", ID2, "docker", ""},
        {"/docker/" ID "/system.slice/ssh.service", "ssh.service", ID, "docker", ""},
        {"/actions_job/" ID, "", ID, "", ""},
        {USER "/user.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker", ""},
        /* podman */
        {"/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", ID, "podman", ""},
        {"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", "", ""},
        {USER "/user.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", ID, "podman", ""},
        {"/libpod_parent/" ID, "", ID, "podman", ""},
        {"/libpod_parent/libpod-" ID, "", ID, "podman", ""},
        /* containerd without Kubernetes */
        {"/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", ID, "containerd", ""},
        {"/default/" ID, "", ID, "", ""},
        /* Kubernetes, by both drivers */
        {"/kubepods/burstable/pod" UID "/" ID, "", ID, "", UID},
        {"/kubepods/pod" UID "/" ID, "", ID, "", UID},
        {"/kubepods/besteffort/pod" STATIC "/" ID, "", ID, "", STATIC},
        {BURST "/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID ".scope",
         "cri-containerd-" ID ".scope", ID, "containerd", UID},
        {"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope", "crio-" ID ".scope", ID,
         "cri-o", UID},
        {BURST "/kubepods-burstable-pod" UID_ ".slice/crio-" ID ".scope/container",
         "crio-" ID ".scope", ID, "cri-o", UID},
        {BURST "/kubepods-burstable-pod" UID_ ".slice/crio-conmon-" ID ".scope",
         "crio-conmon-" ID ".scope", "", "", UID},
        {BURST "/kubepods-burstable-pod" STATIC ".slice/docker-" ID ".scope", "docker-" ID ".scope",
         ID, "docker", STATIC},
        {BURST "/kubepods-burstable-pod" UID_ ".slice/" ID, "", ID, "", UID},
        {"/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID,
         "containerd.service", ID, "containerd", UID},
        /* kind: Kubernetes in docker */
        {"/docker/" ID "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
         "kubelet-kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID2 ".scope",
         "cri-containerd-" ID2 ".scope", ID2, "containerd", UID},
        {"/docker/" ID "/kubelet/kubepods/besteffort/pod" UID "/" ID2, "", ID2, "", UID},
        /* others */
        {"/ecs/" TASK "/" ID, "", ID, "", ""},
        {"/ecs/" TASK "/" TASK "-2531612879", "", TASK "-2531612879", "fargate", ""},
        {"/lxc/web", "", "web", "lxc", ""},
        {"/lxc.payload.web-1/system.slice/nginx.service", "nginx.service", "web-1", "lxc", ""},
        {"/lxc.payload/web", "", "web", "lxc", ""},
        {"/lxc.monitor.web-1", "", "", "", ""},
        {"/machine.slice/systemd-nspawn@debian\\x2d12.service/payload",
         "systemd-nspawn@debian\\x2d12.service", "debian-12", "nspawn", ""},
        {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "machine-qemu\\x2d1\\x2dvm.scope",
         "qemu-1-vm", "", ""},
        /* outside of the own cgroup namespace */
        {"/../../system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID, "docker", ""},
        /* what follows no habit */
        {"/docker/buildkit", "", "", "", ""},
        {"/docker/" ID "00", "", "", "", ""},
        {"/kubepods/pod6ba7b810/x", "", "", "", ""},
        {"/kubepods.slice/kubepods-pod6ba7b810_9dad_11d1_80b4_00c04fd430cz.slice", "", "", "", ""},
        {"/.service", "", "", "", ""},
        {"//web.service//", "web.service", "", "", ""},
        {"", "", "", "", ""},
};

static void each_shape_tells_what_it_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *shape = &shapes[i];
		struct lp_cgroup_names names;
		lp_cgroup_names(shape->path, &names);
		if (strcmp(names.unit, shape->unit) != 0 ||
		    strcmp(names.container, shape->container) != 0 ||
		    strcmp(names.runtime, shape->runtime) != 0 ||
		    strcmp(names.pod, shape->pod) != 0)
			fail_msg("%s: unit '%s', container '%s', runtime '%s', pod '%s'",
			         shape->path, names.unit, names.container, names.runtime,
			         names.pod);
	}
}

static void a_name_too_long_is_no_name(void **state)
{
	(void)state;
	char path[1200] = "/lxc/";
	memset(path + strlen(path), 'a', sizeof(path) - strlen(path) - 1);
	path[sizeof(path) - 1] = '\0';
	struct lp_cgroup_names names;
	lp_cgroup_names(path, &names);
	assert_string_equal(names.container, "");
	assert_string_equal(names.runtime, "");
	memcpy(path + sizeof(path) - sizeof(".service"), ".service", sizeof(".service"));
	lp_cgroup_names(path, &names);
	assert_string_equal(names.unit, "");
}

/* ---- /proc/PID/cgroup ---------------------------------------------------------------------- */

static void parse_gives(const char *text, const char *path)
{
	char got[64] = "untouched";
	assert_int_equal(lp_cgroup_parse(text, got, sizeof(got)), 0);
	assert_string_equal(got, path);
}

static void parse_refuses(const char *text, int error)
{
	char got[64] = "untouched";
	assert_int_equal(lp_cgroup_parse(text, got, sizeof(got)), error);
	assert_string_equal(got, "untouched");
}

static void the_hierarchy_that_tells_most_is_taken(void **state)
{
	(void)state;
	parse_gives("0::/system.slice/nginx.service\n", "/system.slice/nginx.service");
	parse_gives("0::/\n", "/");
	parse_gives("0::/", "/");
	/* hybrid: systemd keeps both alike */
	parse_gives("9:name=systemd:/system.slice/a.service\n8:pids:/system.slice/a.service\n"
	            "0::/system.slice/b.service\n",
	            "/system.slice/b.service");
	/* cgroup2 is there and nobody uses it */
	parse_gives("9:name=systemd:/\n4:memory:/limited/one\n1:cpu:/\n0::/\n", "/limited/one");
	parse_gives("4:memory:/limited\n1:name=systemd:/system.slice/a.service\n0::/\n",
	            "/system.slice/a.service");
	parse_gives("4:memory:/limited\n0::/plain\n", "/plain");
	parse_gives("4:memory:/a\n2:cpu,cpuacct:/b\n1:name=systemd:/c\n", "/c");
	parse_gives("0::/system.slice/a.service (deleted)\n", "/system.slice/a.service");
	parse_gives("0::/with:colon (deleted) in it\n", "/with:colon (deleted) in it");
	parse_gives("0::/../../other\n", "/../../other");
}

static void what_is_no_line_is_refused(void **state)
{
	(void)state;
	parse_refuses("", -EINVAL);
	parse_refuses("\n\n", -EINVAL);
	parse_refuses("0:/x", -EINVAL);
	parse_refuses("0::x", -EINVAL);
	parse_refuses("0::", -EINVAL);
	parse_refuses("0::/0123456789012345678901234567890123456789012345678901234567890123",
	              -ENAMETOOLONG);
}

UNIT_MAIN(cmocka_unit_test(each_shape_tells_what_it_does),
          cmocka_unit_test(a_name_too_long_is_no_name),
          cmocka_unit_test(the_hierarchy_that_tells_most_is_taken),
          cmocka_unit_test(what_is_no_line_is_refused))
