/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stage.h"

#include <fcntl.h>
#include <sys/resource.h>

void stage_make(struct stage *stage, unsigned ports, int backlog)
{
	struct lp_error err = {0};
	*stage = (struct stage){
	        .ns = LAB_NS_NONE, .to = lab_addr(STAGE_AT, STAGE_PORT), .listener = -1};
	assert_ok(lab_ns_make(&stage->ns, &err), err);
	assert_ok(lab_address(&stage->ns, "lo", STAGE_AT, &err), err);
	if (ports)
		assert_ok(lab_sysctl(&stage->ns, &err, "ipv4/ip_local_port_range", "%d %u",
		                     STAGE_LOW, STAGE_LOW + ports - 1),
		          err);
	struct lab_how how = {.ns = &stage->ns, .from = &stage->to};
	stage->listener = must(lab_listen(&how, backlog));
	stage->how = (struct lab_how){.ns = &stage->ns};
}

void stage_done(struct stage *stage)
{
	lab_fds_done(&stage->fds);
	lp_close_fd(&stage->listener);
	lab_ns_done(&stage->ns);
}

int stage_open_some(void *data, int say)
{
	const int *percent = data;
	struct rlimit few;
	(void)getrlimit(RLIMIT_NOFILE, &few);
	few.rlim_cur = 256;
	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 1;
	for (int fd = 0; fd >= 0 && fd < 256 * *percent / 100 - 1;)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	lab_child_ready(say);
}
