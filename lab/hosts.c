/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/hosts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lab/link.h"

enum { PORT = 80, BACKLOG = 128 };

static int listen_at(struct lab_trial *trial, const struct lab_ns *ns, const struct lab_addr *at)
{
	struct lab_how how = {.ns = ns, .from = at};
	int fd = lab_listen(&how, BACKLOG);
	return fd < 0 ? lp_fail(lab_error(trial), -fd, "listen: %s", strerror(-fd)) : fd;
}

static int make(struct lab_trial *trial, const char *ports, struct lab_hosts *h)
{
	struct lp_error *err = lab_error(trial);
	int r = lab_trial_ns(trial, &h->client);
	if (r == 0)
		r = lab_trial_ns(trial, &h->server);
	if (r == 0)
		r = lab_veth(&h->client, LAB_CLIENT_LINK, &h->server, LAB_SERVER_LINK, err);
	if (r == 0)
		r = lab_address(&h->client, LAB_CLIENT_LINK, "10.8.0.1/24", err);
	if (r == 0)
		r = lab_address(&h->server, LAB_SERVER_LINK, "10.8.0.2/24", err);
	if (r == 0 && ports)
		r = lab_sysctl(&h->client, err, "ipv4/ip_local_port_range", "%s", ports);
	if (r == 0)
		r = h->listener = listen_at(trial, &h->server, &h->to);
	return r < 0 ? r : 0;
}

int lab_hosts_make(struct lab_trial *trial, const char *ports, struct lab_hosts *ret)
{
	struct lab_hosts hosts = LAB_HOSTS_NONE;
	hosts.to = lab_addr("10.8.0.2", PORT);
	int r = make(trial, ports, &hosts);
	if (r < 0) {
		lab_hosts_done(&hosts);
		return r;
	}
	*ret = hosts;
	return 0;
}

void lab_hosts_done(struct lab_hosts *hosts)
{
	lp_close_fd(&hosts->listener);
	lab_ns_done(&hosts->client);
	lab_ns_done(&hosts->server);
	*hosts = LAB_HOSTS_NONE;
}

int lab_hosts_listen(struct lab_trial *trial, const struct lab_hosts *hosts, const char *address,
                     struct lab_addr *ret)
{
	char network[64];
	(void)snprintf(network, sizeof(network), "%s/24", address);
	int r = lab_address(&hosts->server, LAB_SERVER_LINK, network, lab_error(trial));
	if (r < 0)
		return r;
	*ret = lab_addr(address, PORT);
	return listen_at(trial, &hosts->server, ret);
}
