/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const char common[] = "daemon off;\n"
                             "master_process off;\n"
                             "pid nginx.pid;\n"
                             "error_log error.log crit;\n"
                             "events { worker_connections 1024; }\n"
                             "http {\n"
                             "access_log off;\n"
                             "client_body_temp_path body;\n"
                             "proxy_temp_path proxy;\n"
                             "fastcgi_temp_path fastcgi;\n"
                             "uwsgi_temp_path uwsgi;\n"
                             "scgi_temp_path scgi;\n";

void site_nginx(const struct lab_ns *ns, const char *folder, const char *blocks,
                struct lab_child *child)
{
	char path[128];
	assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "%s/nginx.conf", folder);
	FILE *conf = fopen(path, "w");
	assert_non_null(conf);
	assert_true(fprintf(conf, "%s%s}\n", common, blocks) > 0);
	assert_int_equal(fclose(conf), 0);
	_cleanup_(lab_leave) int home = must(lab_enter(ns));
	(void)home;
	const char *argv[] = {"nginx", "-p", folder, "-e", "error.log", "-c", "nginx.conf", NULL};
	must(lab_spawn(child, argv));
}

void site_wait(const struct lab_ns *ns, const char *text, uint16_t port)
{
	struct lab_addr at = lab_addr(text, port);
	struct lab_how how = {.ns = ns, .options = LAB_LINGER_ZERO};
	int64_t deadline = lp_clock_ns() + INT64_C(20000000000);
	int fd;
	while ((fd = lab_connect(&how, &at)) == -ECONNREFUSED && lp_clock_ns() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	must(fd);
	(void)close(fd);
}

static void start_proxy(struct site *site, const char *proxy)
{
	site_nginx(&site->proxy, "/mnt/proxy", proxy, &site->proxy_server);
	site_wait(&site->load, SITE_PROXY, SITE_PROXY_PORT);
}

void site_make(struct site *site, const char *proxy)
{
	static struct lab_mounts mounts;
	struct lp_error err = {0};
	*site = (struct site){LAB_NS_NONE, LAB_NS_NONE, LAB_NS_NONE, LAB_CHILD_NONE,
	                      LAB_CHILD_NONE};
	assert_ok(lab_private_mounts(&mounts, &err), err);
	must(mount("lab", "/mnt", "tmpfs", 0, NULL));
	assert_ok(lab_ns_make(&site->load, &err), err);
	assert_ok(lab_ns_make(&site->proxy, &err), err);
	assert_ok(lab_ns_make(&site->upstream, &err), err);
	assert_ok(lab_veth(&site->load, "l0", &site->proxy, "p0", &err), err);
	assert_ok(lab_veth(&site->proxy, "p1", &site->upstream, "u0", &err), err);
	assert_ok(lab_address(&site->load, "l0", "10.2.0.1/24", &err), err);
	assert_ok(lab_address(&site->proxy, "p0", SITE_PROXY "/24", &err), err);
	assert_ok(lab_address(&site->proxy, "p1", SITE_LOCAL "/24", &err), err);
	assert_ok(lab_address(&site->upstream, "u0", SITE_UPSTREAM "/24", &err), err);
	/* at once; and of 1,250 bytes those beyond 1,000 after a quarter of a second */
	char blocks[2048];
	(void)snprintf(blocks, sizeof(blocks),
	               "server { listen " SITE_UPSTREAM ":8080; keepalive_requests 100000;\n"
	               "location / { return 200 \"ok\"; }\n"
	               "location /slow { limit_rate 1000; return 200 \"%01250d\"; } }\n",
	               0);
	site_nginx(&site->upstream, "/mnt/upstream", blocks, &site->upstream_server);
	site_wait(&site->upstream, SITE_UPSTREAM, SITE_UPSTREAM_PORT);
	start_proxy(site, proxy);
}

void site_done(struct site *site)
{
	lab_child_stop(&site->proxy_server);
	lab_child_stop(&site->upstream_server);
	lab_ns_done(&site->load);
	lab_ns_done(&site->proxy);
	lab_ns_done(&site->upstream);
}

void site_change_proxy(struct site *site, const char *proxy)
{
	lab_child_stop(&site->proxy_server);
	start_proxy(site, proxy);
}

char *site_output(const struct lab_ns *ns, const char *const argv[])
{
	_cleanup_(lab_leave) int home = must(lab_enter(ns));
	(void)home;
	struct lab_output out;
	int status = lab_run(argv, 30000, &out, NULL);
	if (status != 0)
		fail_msg("%s: %d: %s", argv[0], status, out.text);
	return out.text;
}

bool site_is_possible(void)
{
	const char *const there[] = {"sh", "-c",
	                             "command -v nginx && command -v wrk && command -v ss", NULL};
	struct lab_output out;
	int missing = lab_run(there, 5000, &out, NULL);
	lab_output_done(&out);
	return missing == 0;
}
