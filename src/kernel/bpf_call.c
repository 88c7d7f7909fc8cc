/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_call.h"

#include <linux/capability.h>

#include "kernel/scan.h"

/* CAP_SYS_ADMIN has in it what the other two give. */
int lp_bpf_rights(const char *who, struct lp_error *err)
{
	bool bpf = lp_has_capability(CAP_BPF), perfmon = lp_has_capability(CAP_PERFMON);
	if (lp_has_capability(CAP_SYS_ADMIN) || (bpf && perfmon))
		return 0;
	return lp_fail(err, EPERM, "%s needs %s%s%s", who, bpf ? "" : "CAP_BPF",
	               bpf || perfmon ? "" : " and ", perfmon ? "" : "CAP_PERFMON");
}

int lp_bpf_refused(int error, const char *since, struct lp_error *err)
{
	if (error == -EPERM || error == -EACCES)
		return lp_fail(err, EPERM, "a program in the kernel needs CAP_BPF and CAP_PERFMON");
	return lp_fail(err, -error,
	               "the kernel does not load the program (%s): Linux %s or later with BTF does",
	               strerror(-error), since);
}
