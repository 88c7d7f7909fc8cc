/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "lab/lab.h"

enum { ANSWER_MS = 1000 };

/* What became of a FIN that was sent again because the ACK of it was lost. */
struct outcome {
	int state; /* of the tuple when it came; -ENOENT: none */
	bool acked, reset;
	double answer_ms;
};

/* The kernel closes first; its last ACK is thrown away. */
static int lose_last_ack(const struct lab_ns *ns, struct lab_talk *talk, struct lab_segment *fin,
                         struct lab_addr *near)
{
	struct lab_how how = {.ns = ns, .options = LAB_NONBLOCK};
	_cleanup_(lp_close_fd) int fd = lab_connect(&how, &talk->self);
	if (fd < 0)
		return fd;
	int r = lab_talk_accept(talk);
	if (r == 0)
		r = lab_wait_tcp_state(fd, TCP_ESTABLISHED, LAB_TIMEOUT_MS);
	if (r < 0)
		return r;
	*near = lab_addr_local(fd);
	(void)close(lp_take_fd(fd));
	r = lab_talk_wait(talk, TH_FIN, TH_FIN, LAB_TIMEOUT_MS, NULL);
	if (r < 0)
		return r;
	*fin = lab_talk_segment(talk, TH_FIN | TH_ACK, NULL, 0);
	r = lab_talk_send(talk, TH_FIN | TH_ACK, NULL, 0);
	struct lab_segment lost = {0};
	while (r == 0 && lost.ack != talk->next)
		r = lab_talk_wait(talk, TH_ACK | TH_FIN, TH_ACK, LAB_TIMEOUT_MS, &lost);
	return r;
}

static int send_again(struct lab_trial *trial, bool without, struct outcome *ret)
{
	struct lp_error *err = lab_error(trial);
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_wire_done) struct lab_wire wire = LAB_WIRE_NONE;
	int r = lab_trial_ns(trial, &ns);
	if (r == 0 && without)
		r = lab_sysctl(&ns, err, "ipv4/tcp_max_tw_buckets", "0");
	if (r == 0)
		r = lab_wire_open(&ns, "10.9.0.1/24", &wire, err);
	if (r < 0)
		return r;
	struct lab_talk talk = {.wire = &wire, .self = lab_addr("10.9.0.2", 80), .next = 1000};
	struct lab_segment fin, answer = {0};
	struct lab_addr near;
	r = lose_last_ack(&ns, &talk, &fin, &near);
	if (r < 0)
		return lp_fail(err, -r, "closing over the wire: %s", strerror(-r));

	struct outcome o = {.state = lab_tuple_state(&ns, &near, &talk.self)};
	int64_t start = lp_clock_ns();
	r = lab_wire_send(&wire, &fin);
	if (r == 0)
		r = lab_talk_wait(&talk, 0, 0, ANSWER_MS, &answer);
	if (r < 0 && r != -ETIMEDOUT)
		return lp_fail(err, -r, "the FIN sent again: %s", strerror(-r));
	o.answer_ms = (double)(lp_clock_ns() - start) / 1e6;
	o.reset = r == 0 && answer.flags & TH_RST;
	o.acked = r == 0 && !o.reset && answer.flags & TH_ACK && answer.ack == fin.seq + 1;
	*ret = o;
	return 0;
}

static const char *answer_of(const struct outcome *o)
{
	return o->acked ? "the ACK again" : o->reset ? "a reset" : "nothing";
}

static void tell(struct lab_trial *trial, const char *name, const struct outcome *o)
{
	lab_case(trial, name);
	lab_saw(trial, "time_wait", o->state == TCP_TIME_WAIT);
	lab_told(trial, "answered_by", answer_of(o));
	lab_measured(trial, "answer_ms", o->answer_ms);
}

static int run(struct lab_trial *trial)
{
	struct outcome with = {0}, without = {0};
	int r = send_again(trial, false, &with);
	if (r == 0)
		r = send_again(trial, true, &without);
	if (r < 0)
		return r;
	tell(trial, "as it is", &with);
	tell(trial, "with TIME_WAIT taken away", &without);
	return lab_verdict_if(trial, with.acked && with.state == TCP_TIME_WAIT,
	                      "a FIN sent again to a tuple %s was answered by %s; with "
	                      "tcp_max_tw_buckets 0 by %s",
	                      with.state == TCP_TIME_WAIT ? "in TIME_WAIT" : "without TIME_WAIT",
	                      answer_of(&with), answer_of(&without));
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_answers_a_lost_ack = {
        .id = "time-wait-answers-a-lost-ack",
        .claim = "the first reason for TIME_WAIT: a FIN sent again because its ACK was lost is "
                 "acknowledged again",
        .source = "RFC 9293 section 3.6.1; RFC 1337",
        .experiment = "the kernel closes first towards a scripted peer, which throws the last ACK "
                      "away and sends its FIN again; once more with tcp_max_tw_buckets 0",
        .confirms = "the socket in TIME_WAIT sends the ACK of the FIN again",
        .refutes = "a reset or no answer",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
