/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configuration of sysctls on disk: sysctl.d(5), and sysctl.conf(5) as procps reads it. */

#include "kernel/kernel.h"

enum {
	LP_CONF_FILES = 256,    /* read at most */
	LP_CONF_BYTES = 65536,  /* of one file */
	LP_CONF_SETTINGS = 512, /* lines about the network kept at most */
};

/*
 * The lines of one file's text that set a sysctl below net/, or fs/file-max, appended to settings.
 * Comments, other keys and what is no setting are passed over, as systemd-sysctl and sysctl do;
 * what is beyond LP_CONF_SETTINGS too. 0 or -ENOMEM.
 */
int lp_sysctl_conf_parse(const char *text, const char *file, struct lp_settings *settings);

/*
 * Every file below kernel->root: sysctl.d of /etc, /run, /usr/local/lib, /usr/lib and /lib, a name
 * in one of them hiding the same name in those after it, all of them in the order of their names;
 * then /etc/sysctl.conf, if it was not one of them. In the machine's first namespace, what the
 * kernel has now too. What can't be read is told in snapshot->settings. 0 or -ENOMEM.
 */
int lp_sysctl_conf_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot);
