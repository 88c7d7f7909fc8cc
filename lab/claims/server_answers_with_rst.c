/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <errno.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/wired.h"

enum {
	CLIENT_PORT = 5000, /* of the first meeting; one more for each other */
	FIRST = 100000,
	STAMP = 1000000,
	AWAY = 1000, /* how much newer or older; within the window */
	ANSWER_MS = 2000,
};

static const struct meeting {
	const char *name;
	bool stamped, newer;
} meetings[] = {
        {"SYN with a newer timestamp", true, true},
        {"SYN with an older timestamp", true, false},
        {"SYN without timestamps, number above", false, true},
        {"SYN without timestamps, number below", false, false},
};
enum { MEETINGS = sizeof(meetings) / sizeof(meetings[0]) };

/* *ret: what the server says to a SYN on a tuple that it closed first. half: the client did not. */
static int meet(const struct lab_wired *w, const struct meeting *m, uint16_t port, bool half,
                const char **ret)
{
	struct lab_talk talk = lab_wired_client(w, port, FIRST);
	talk.stamped = m->stamped;
	talk.stamp = STAMP;
	int r = lab_talk_connect(&talk);
	if (r == 0)
		r = lab_wired_end(w, &talk, half);
	if (r < 0)
		return r;
	talk.next = m->newer || m->stamped ? talk.next + AWAY : FIRST - AWAY;
	talk.stamp = m->newer ? STAMP + AWAY : STAMP - AWAY;
	r = lab_talk_send(&talk, TH_SYN, NULL, 0);
	if (r < 0)
		return r;
	struct lab_segment answer = {0};
	r = lab_talk_wait(&talk, 0, 0, ANSWER_MS, &answer);
	*ret = lab_wired_heard(r, &answer);
	return r == -ETIMEDOUT ? 0 : r;
}

static int run(struct lab_trial *trial)
{
	_cleanup_(lab_wired_done) struct lab_wired w = LAB_WIRED_NONE;
	bool half = lab_turned(trial, "half-closed");
	const char *answers[MEETINGS] = {"", "", "", ""};
	unsigned resets = 0;
	int r = lab_wired_make(trial, 16, &w);
	for (unsigned i = 0; r == 0 && i < MEETINGS; i++) {
		r = meet(&w, &meetings[i], (uint16_t)(CLIENT_PORT + i), half, &answers[i]);
		if (r < 0)
			return r;
		lab_case(trial, meetings[i].name);
		lab_told(trial, "answer", answers[i]);
		resets += !strcmp(answers[i], "RST");
	}
	if (r < 0)
		return r;
	lab_case(trial, NULL);
	lab_counted(trial, "resets_sent", lab_counter(&w.ns, "Tcp", "OutRsts"));
	const char *why = "to a SYN on its %s tuple the server says %s when the timestamp is "
	                  "newer, %s when it is older; without timestamps %s and %s";
	const char *state = half ? "FIN_WAIT2" : "TIME_WAIT";
	if (resets > 0 && resets < MEETINGS)
		return lab_verdict(trial, LAB_DEPENDS, why, state, answers[0], answers[1],
		                   answers[2], answers[3]);
	return lab_verdict_if(trial, resets > 0, why, state, answers[0], answers[1], answers[2],
	                      answers[3]);
}

static const struct lab_turn turns[] = {
        {.what = "the client never closes, so that the server is in FIN_WAIT2",
         .expect = LAB_DEPENDS,
         .flag = "half-closed"},
        {0},
};

const struct lab_claim lab_claim_server_answers_with_rst = {
        .id = "server-answers-with-rst",
        .claim = "to a SYN on a tuple in TIME_WAIT the server answers with RST",
        .source = "forum advice",
        .experiment = "segments written by hand: a connection that the server closes first, then "
                      "a SYN on the same tuple, newer and older, with timestamps and without",
        .confirms = "every such SYN is answered by a reset",
        .refutes = "none is",
        .seconds = 1,
        .run = run,
        .turns = turns,
};
