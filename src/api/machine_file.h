/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Figures of another machine, for plans, out of a text that people have of it:
 *
 * - settings as `sysctl -a` prints them, "net.ipv4.tcp_tw_reuse = 2", and as sysctl.conf(5) and
 *   plain ini files have them: lines of other names, comments and [sections] are passed over;
 *   "nofile = 1024" is RLIMIT_NOFILE, "hz = 250" the kernel's timer frequency;
 * - the JSON of `lastport status --all --json`: what a new destination gets, and the other limits
 *   of one namespace (netns; NULL or "self": "host" where it is there, else the first);
 * - the JSON of `lastport plan --json`: its "machine" has the settings by the same names.
 */

#include "base/error.h"
#include "forecast/plan.h"

/* -EINVAL with err set where the text has no figure that a plan uses, or one that is none. */
int lp_machine_file_parse(const char *text, const char *netns, struct lp_plan_machine *ret,
                          struct lp_error *err);

/* Reads a file of at most 64 MiB. The same, and -EIO with err set: it can't be read. */
int lp_machine_file_read(const char *path, const char *netns, struct lp_plan_machine *ret,
                         struct lp_error *err);
