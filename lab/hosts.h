/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two hosts of a trial with a wire between them: what is true of loopback is not true of all. */

#include "lab/claim.h"
#include "lab/socket.h"

#define LAB_CLIENT_LINK "client" /* 10.8.0.1/24 */
#define LAB_SERVER_LINK "server" /* 10.8.0.2/24 */

struct lab_hosts {
	struct lab_ns client, server;
	int listener;       /* of `to`, backlog 128 */
	struct lab_addr to; /* the server, port 80 */
};
#define LAB_HOSTS_NONE \
	((struct lab_hosts){.client = {.fd = -1}, .server = {.fd = -1}, .listener = -1})

/*
 * Makes both in the trial's world. ports: the client's ip_local_port_range ("40000 40099"), NULL
 * for the kernel's own. 0, or a negative errno with the sentence in lab_error(). The hosts are the
 * caller's, for lab_hosts_done() or _cleanup_.
 */
int lab_hosts_make(struct lab_trial *trial, const char *ports, struct lab_hosts *ret);
void lab_hosts_done(struct lab_hosts *hosts);

/* One more address of the server ("10.8.0.3"), with a listener on port 80: a descriptor or -errno.
 */
int lab_hosts_listen(struct lab_trial *trial, const struct lab_hosts *hosts, const char *address,
                     struct lab_addr *ret);
