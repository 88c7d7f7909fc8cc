/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/stand.h"

#include <errno.h>
#include <string.h>

#include "lab/link.h"

int lab_stand_listen(struct lab_trial *trial, const struct lab_stand *stand, const char *address,
                     uint16_t port)
{
	struct lp_error *err = lab_error(trial);
	if (strncmp(address, "127.", 4) != 0) {
		int r = lab_address(&stand->ns, "lo", address, err);
		if (r < 0 && r != -EEXIST)
			return r;
	}
	struct lab_addr at = lab_addr(address, port);
	struct lab_how how = {.ns = &stand->ns, .from = &at};
	int fd = lab_listen(&how, LAB_STAND_BACKLOG);
	if (fd < 0)
		return lp_fail(err, -fd, "listen on %s:%u: %s", address, port, strerror(-fd));
	return fd;
}

int lab_stand_make(struct lab_trial *trial, const char *address, unsigned ports,
                   struct lab_stand *ret)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_trial_ns(trial, &stand.ns);
	if (r == 0 && ports)
		r = lab_sysctl(&stand.ns, lab_error(trial), "ipv4/ip_local_port_range", "%u %u",
		               (unsigned)LAB_STAND_LOW, LAB_STAND_LOW + ports - 1);
	if (r < 0)
		return r;
	stand.to = lab_addr(address, LAB_STAND_PORT);
	stand.listener = lab_stand_listen(trial, &stand, address, LAB_STAND_PORT);
	if (stand.listener < 0)
		return stand.listener;
	*ret = stand;
	stand = LAB_STAND_NONE;
	return 0;
}

int lab_stand_plain(struct lab_trial *trial, struct lab_stand *ret)
{
	return lab_stand_make(trial, "127.0.0.1", 0, ret);
}

void lab_stand_done(struct lab_stand *stand)
{
	lp_close_fd(&stand->listener);
	lab_ns_done(&stand->ns);
	*stand = LAB_STAND_NONE;
}
