/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "lab/lab.h"
#include "lab/stand.h"

enum { DESCRIPTORS = 64, CONNECTIONS = 1000 };

/* Descriptors that this process has open, less the one that counts them. */
static int count_descriptors(void)
{
	_cleanup_(lp_close_dir) DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return lp_errno();
	int n = -1;
	for (const struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	return n;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_stand_done) struct lab_stand stand = LAB_STAND_NONE;
	int r = lab_stand_plain(trial, &stand);
	if (r < 0)
		return r;
	struct lab_how how = {.ns = &stand.ns};
	struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return lp_errno();

	int before = count_descriptors();
	struct lab_count done =
	        lab_open_and_end(&how, &stand.to, stand.listener, LAB_CLIENT_FIRST, CONNECTIONS);
	int after = count_descriptors();
	int time_wait = lab_time_wait_count(&stand.ns);
	if (before < 0 || after < 0 || time_wait < 0)
		return lp_fail(lab_error(trial), EIO, "/proc could not be read");

	lab_counted(trial, "descriptors_allowed", DESCRIPTORS);
	lab_counted(trial, "connections_made", done.n);
	lab_counted(trial, "time_wait", time_wait);
	lab_counted(trial, "descriptors_before", before);
	lab_counted(trial, "descriptors_after", after);
	lab_saw(trial, "too_many_open_files", done.error == EMFILE);
	if (time_wait < DESCRIPTORS && done.error == 0)
		return lab_verdict(trial, LAB_DEPENDS,
		                   "no TIME_WAIT was left to hold any: %d after %u connections",
		                   time_wait, done.n);
	return lab_verdict_if(trial, done.error == EMFILE || after > before,
	                      "%d TIME_WAITs with %d descriptors allowed; %d were open before, "
	                      "%d after",
	                      time_wait, DESCRIPTORS, before, after);
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_DEPENDS,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_holds_descriptors = {
        .id = "time-wait-holds-descriptors",
        .claim = "TIME_WAIT keeps the file descriptor, so many of them end in \"too many open "
                 "files\"",
        .source = "forum advice",
        .experiment = "a process that may open 64 descriptors makes 1,000 connections and closes "
                      "first; its descriptors are counted before and after",
        .confirms = "EMFILE, or more descriptors open than before",
        .refutes = "more TIME_WAITs than the process may have descriptors, and none of them open",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
