/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Real programs: clients, nginx as a proxy and nginx as its upstream, each in a namespace. */

#include "check.h"

#define SITE_PROXY    "10.2.0.2"
#define SITE_UPSTREAM "10.1.0.2"
#define SITE_LOCAL    "10.1.0.1" /* of the proxy, towards the upstream */
enum { SITE_PROXY_PORT = 8000, SITE_UPSTREAM_PORT = 8080 };

/* What the proxy has without keep-alive to the upstream, which would: it closes first. */
#define SITE_SHORT                                                 \
	"server { listen " SITE_PROXY ":8000 backlog=100;\n"       \
	"location / { proxy_pass http://" SITE_UPSTREAM ":8080;\n" \
	"proxy_http_version 1.1; proxy_set_header Connection \"\"; } }\n"

struct site {
	struct lab_ns load, proxy, upstream;
	struct lab_child proxy_server, upstream_server;
};

/*
 * Starts both, the proxy with these server and upstream blocks of nginx.conf; once a process, which
 * then has mounts of its own. Both are ready on return.
 */
void site_make(struct site *site, const char *proxy);
void site_done(struct site *site);
/* Ends the proxy and starts it with other blocks. */
void site_change_proxy(struct site *site, const char *proxy);

/*
 * Starts nginx in a namespace with these blocks in nginx.conf, in a folder of its own below a
 * private mount; it is made where it is not there.
 */
void site_nginx(const struct lab_ns *ns, const char *folder, const char *blocks,
                struct lab_child *child);

/* Waits until something listens there, as seen from the namespace. */
void site_wait(const struct lab_ns *ns, const char *text, uint16_t port);

/* What a program in a namespace prints; it must succeed. The caller's to free. */
char *site_output(const struct lab_ns *ns, const char *const argv[]);

/* Whether the programs are installed that sites need: nginx, wrk, ss. */
bool site_is_possible(void);
