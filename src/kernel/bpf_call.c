/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_call.h"

#include <linux/capability.h>

#include "kernel/scan.h"

/* CAP_SYS_ADMIN has in it what the other two give. 0: all are there. */
static int tell_missing(const char *who, struct lp_error *err)
{
	bool bpf = lp_has_capability(CAP_BPF), perfmon = lp_has_capability(CAP_PERFMON);
	if (lp_has_capability(CAP_SYS_ADMIN) || (bpf && perfmon))
		return 0;
	return lp_fail(err, EPERM, "%s needs %s%s%s", who, bpf ? "" : "CAP_BPF",
	               bpf || perfmon ? "" : " and ", perfmon ? "" : "CAP_PERFMON");
}

int lp_bpf_refused(const char *who, const char *since, int error, struct lp_error *err)
{
	switch (error) {
	case -EMFILE:
		return lp_fail(err, EMFILE, "%s needs more descriptors than this process may have",
		               who);
	case -ENFILE:
		return lp_fail(err, ENFILE, "%s needs descriptors, and the system has no more",
		               who);
	case -ENOMEM:
		return lp_fail(err, ENOMEM, "there is not enough memory for %s", who);
	default:
		break;
	}
	/* without CAP_PERFMON it may be EINVAL */
	int r = tell_missing(who, err);
	if (r < 0)
		return r;
	if (error == -EPERM || error == -EACCES)
		return lp_fail(err, EPERM,
		               "the kernel does not allow %s: in a user namespace, in most "
		               "containers and under lockdown it loads no such programs",
		               who);
	return lp_fail(err, EOPNOTSUPP,
	               "the kernel does not load what %s needs (%s): Linux %s or later with BTF "
	               "does",
	               who, strerror(-error), since);
}
