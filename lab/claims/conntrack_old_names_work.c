/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lab/lab.h"
#include "lab/tracked.h"

/* Old and new name of the same figure, below /proc/sys/net. */
static const struct {
	const char *old, *current, *short_name;
} names[] = {
        {"ipv4/netfilter/ip_conntrack_max", "netfilter/nf_conntrack_max", "max"},
        {"ipv4/netfilter/ip_conntrack_count", "netfilter/nf_conntrack_count", "count"},
};
enum { NAMES = sizeof(names) / sizeof(*names) };

/*
 * A kernel that still has the old names: in a mount namespace of our own, files that say what the
 * new ones do lie over /proc/sys/net/ipv4.
 */
static int bring_back(struct lab_trial *trial, const struct lab_ns *ns)
{
	struct lab_mounts mounts;
	char values[NAMES][32];
	int r = 0;
	for (size_t i = 0; r == 0 && i < NAMES; i++)
		r = lab_sysctl_get(ns, lab_error(trial), names[i].current, values[i],
		                   sizeof(values[i]));
	if (r == 0)
		r = lab_private_mounts(&mounts, lab_error(trial));
	if (r < 0)
		return r;
	/* Each network namespace has directories of its own below /proc/sys/net. */
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(lab_error(trial), -home, "setns: %s", strerror(-home));
	static const char over[] = "/proc/sys/net/ipv4";
	if (mount("tmpfs", over, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") < 0 ||
	    mkdir("/proc/sys/net/ipv4/netfilter", 0755) < 0)
		return lp_fail(lab_error(trial), errno, "%s: %s", over, strerror(errno));
	for (size_t i = 0; i < NAMES; i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", names[i].old);
		_cleanup_(lp_close_file) FILE *file = fopen(path, "we");
		if (!file || fprintf(file, "%s\n", values[i]) < 0)
			return lp_fail(lab_error(trial), errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}

/* Whether the old name is there and says what the new one does. */
static int compare(struct lab_trial *trial, const struct lab_ns *ns, size_t i, unsigned *same)
{
	char current[32], old[32], figure[64];
	int r = lab_sysctl_get(ns, lab_error(trial), names[i].current, current, sizeof(current));
	if (r < 0)
		return r;
	r = lab_sysctl_get(ns, lab_error(trial), names[i].old, old, sizeof(old));
	if (r < 0 && r != -ENOENT)
		return r;
	(void)snprintf(figure, sizeof(figure), "nf_conntrack_%s", names[i].short_name);
	lab_told(trial, figure, current);
	(void)snprintf(figure, sizeof(figure), "ip_conntrack_%s", names[i].short_name);
	lab_told(trial, figure, r < 0 ? "no such file" : old);
	*same += r == 0 && !strcmp(old, current);
	return 0;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_tracked_done) struct lab_tracked tracked = LAB_TRACKED_NONE;
	int r = lab_tracked_make(trial, &tracked);
	if (r < 0)
		return r;
	/* so that there is something to count */
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_how how = {.ns = &tracked.ns};
	struct lab_count opened = lab_connect_many(&how, &tracked.to, 3, &fds);
	if (opened.error)
		return lp_fail(lab_error(trial), opened.error, "connect: %s",
		               strerror(opened.error));
	if (lab_turned(trial, "old-kernel"))
		r = bring_back(trial, &tracked.ns);
	unsigned same = 0;
	for (size_t i = 0; r == 0 && i < NAMES; i++)
		r = compare(trial, &tracked.ns, i, &same);
	if (r < 0)
		return r;
	return lab_verdict_if(trial, same == NAMES,
	                      "%u of %d old names are there and say what the nf_conntrack_ names "
	                      "say",
	                      same, NAMES);
}

static const struct lab_turn turns[] = {
        {.what = "files of the old names lie over /proc/sys/net/ipv4",
         .expect = LAB_CONFIRMED,
         .flag = "old-kernel"},
        {0},
};

const struct lab_claim lab_claim_conntrack_old_names_work = {
        .id = "conntrack-old-names-work",
        .claim = "net.ipv4.netfilter.ip_conntrack_count and _max show the table's size and limit",
        .source = "tuning guides of the 2.4 and 2.6 kernels, copied until today",
        .experiment = "three connections are tracked; the old and the new names are read",
        .confirms = "the old names are there and say what the new ones say",
        .refutes = "they are not there, or say something else",
        .seconds = 1,
        .needs = LAB_NEEDS_CONNTRACK | LAB_NEEDS_NFTABLES,
        .run = run,
        .turns = turns,
};
