/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tracked.h"

#include "check.h"

void track(struct tracked *t)
{
	struct lp_error err = {0};
	*t = (struct tracked){.ns = LAB_NS_NONE, .to = lab_addr("127.0.0.1", 80)};
	assert_ok(lab_ns_make(&t->ns, &err), err);
	assert_ok(lab_nft_track(&t->ns, &err), err);
	struct lab_how how = {.ns = &t->ns, .from = &t->to};
	t->listener = must(lab_listen(&how, 64));
}

void untrack(struct tracked *t)
{
	lp_close_fd(&t->listener);
	lab_ns_done(&t->ns);
}
