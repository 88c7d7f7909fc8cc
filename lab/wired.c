/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/wired.h"

#include <errno.h>
#include <string.h>

enum { SERVER_PORT = 80 };
#define SERVER "10.9.0.1"
#define CLIENT "10.9.0.2"

static int set_up(struct lab_trial *trial, int backlog, struct lab_wired *wired)
{
	int r = lab_trial_ns(trial, &wired->ns);
	if (r == 0)
		r = lab_wire_open(&wired->ns, SERVER "/24", &wired->wire, lab_error(trial));
	if (r < 0)
		return r;
	wired->server = lab_addr(SERVER, SERVER_PORT);
	struct lab_how how = {.ns = &wired->ns, .from = &wired->server};
	wired->listener = lab_listen(&how, backlog);
	if (wired->listener < 0)
		return lp_fail(lab_error(trial), -wired->listener, "listen: %s",
		               strerror(-wired->listener));
	return 0;
}

int lab_wired_make(struct lab_trial *trial, int backlog, struct lab_wired *ret)
{
	struct lab_wired wired = LAB_WIRED_NONE;
	int r = set_up(trial, backlog, &wired);
	if (r < 0) {
		lab_wired_done(&wired);
		return r;
	}
	*ret = wired;
	return 0;
}

void lab_wired_done(struct lab_wired *wired)
{
	lp_close_fd(&wired->listener);
	lab_wire_done(&wired->wire);
	lab_ns_done(&wired->ns);
	*wired = LAB_WIRED_NONE;
}

struct lab_talk lab_wired_client(const struct lab_wired *wired, uint16_t port, uint32_t first)
{
	return (struct lab_talk){.wire = &wired->wire,
	                         .self = lab_addr(CLIENT, port),
	                         .other = wired->server,
	                         .next = first};
}

int lab_wired_end(const struct lab_wired *wired, struct lab_talk *talk, bool half)
{
	int fd = lab_accept(wired->listener, LAB_TIMEOUT_MS);
	if (fd < 0)
		return fd;
	(void)close(fd);
	int r = lab_talk_wait(talk, TH_FIN, TH_FIN, LAB_TIMEOUT_MS, NULL);
	if (r == 0)
		r = lab_talk_send(talk, half ? TH_ACK : TH_FIN | TH_ACK, NULL, 0);
	struct lab_segment last = {0};
	while (r == 0 && !half && last.ack != talk->next)
		r = lab_talk_wait(talk, TH_ACK | TH_FIN, TH_ACK, LAB_TIMEOUT_MS, &last);
	return r;
}

const char *lab_wired_heard(int waited, const struct lab_segment *segment)
{
	if (waited < 0)
		return "nothing";
	if (segment->flags & TH_RST)
		return "RST";
	return segment->flags & TH_SYN ? "SYN-ACK" : "ACK";
}
